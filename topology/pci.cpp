#include "topology/pci.h"

#include <algorithm>

#include "core/printable.h"

namespace tutti {
namespace {

std::size_t at(NodeId id) { return static_cast<std::size_t>(id); }

std::vector<bool> plain_bridges(const std::vector<Node>& nodes) {
  std::vector<int> kids(nodes.size(), 0);
  std::vector<bool> plain(nodes.size(), false);
  for (std::size_t id = nodes.size(); id-- > 0;) {
    plain[id] = nodes[id].kind == NodeKind::pci_switch && kids[id] < 2;
    const bool vanishes = plain[id] && kids[id] == 0;
    if (!vanishes && nodes[id].parent != kNoNode) ++kids[at(nodes[id].parent)];
  }
  return plain;
}

// Speeds of devices below bridges that go become those of the whole way up to the first that stays.
void narrow_links(Topology& topology, const std::vector<bool>& dropped) {
  std::vector<Link*> upward(topology.nodes.size(), nullptr);
  for (Link& link : topology.links) {
    if (link.kind == LinkKind::pcie && topology.nodes[at(link.b)].parent == link.a) upward[at(link.b)] = &link;
  }
  for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
    const NodeId parent = topology.nodes[id].parent;
    if (upward[id] == nullptr || parent == kNoNode || !dropped[at(parent)] || upward[at(parent)] == nullptr) continue;
    upward[id]->bandwidth_gbps = std::min(upward[id]->bandwidth_gbps, upward[at(parent)]->bandwidth_gbps);
  }
}

}  // namespace

std::string printable_text(std::string_view text) {
  text = text.substr(0, std::min<std::size_t>(128, text.find_last_not_of(' ') + 1));
  return printable(std::string(text));
}

void drop_plain_bridges(Topology& topology) {
  std::vector<Node>& nodes = topology.nodes;
  const std::vector<bool> dropped = plain_bridges(nodes);
  narrow_links(topology, dropped);
  std::vector<NodeId> renamed(nodes.size(), kNoNode);
  std::vector<Node> kept;
  for (std::size_t id = 0; id < nodes.size(); ++id) {
    const NodeId parent = nodes[id].parent == kNoNode ? kNoNode : renamed[at(nodes[id].parent)];
    if (dropped[id]) {
      renamed[id] = parent;
      continue;
    }
    renamed[id] = static_cast<NodeId>(kept.size());
    nodes[id].parent = parent;
    kept.push_back(std::move(nodes[id]));
  }
  // The link of a bridge that goes ends where it begins, once both its ends have moved up.
  std::erase_if(topology.links, [&](const Link& link) { return link.kind == LinkKind::pcie && dropped[at(link.b)]; });
  nodes = std::move(kept);
  for (Link& link : topology.links) {
    link.a = renamed[at(link.a)];
    link.b = renamed[at(link.b)];
  }
  std::erase_if(topology.links, [](const Link& link) { return link.a == link.b; });
}

}  // namespace tutti
