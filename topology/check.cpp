#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "topology/cpus.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

constexpr std::size_t kMaxText = 256;
constexpr int kMaxDepth = 64;

Error bad_node(std::size_t id, const Node& node, std::string_view what) {
  return {Code::invalid_argument, fmt::format("topology node {} ({}): {}", id, name(node.kind), what)};
}

bool is_name(std::string_view text) {
  return text.size() <= kMaxText &&
         std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

bool is_amount(double value) { return std::isfinite(value) && value >= 0; }

bool is_root(NodeKind kind) { return kind == NodeKind::machine || kind == NodeKind::net_switch; }

// Whether things of this kind can hold others.
bool is_container(NodeKind kind) {
  switch (kind) {
    case NodeKind::machine:
    case NodeKind::package:
    case NodeKind::numa:
    case NodeKind::l3:
    case NodeKind::pci_switch:
      return true;
    case NodeKind::core:
    case NodeKind::gpu:
    case NodeKind::nvswitch:
    case NodeKind::nic:
    case NodeKind::net_switch:
      return false;
  }
  return false;
}

bool is_cpu_side(NodeKind kind) {
  return kind == NodeKind::package || kind == NodeKind::numa || kind == NodeKind::l3 || kind == NodeKind::core;
}

Status check_parent(const Topology& topology, std::size_t id) {
  const Node& node = topology.nodes[id];
  if (static_cast<int>(node.kind) >= kNodeKinds) return bad_node(id, node, "unknown kind");
  if (node.parent == kNoNode) {
    if (is_root(node.kind)) return {};
    return bad_node(id, node, "has no parent; only machines and network switches stand alone");
  }
  if (is_root(node.kind)) return bad_node(id, node, fmt::format("has parent {}, but its kind stands alone", node.parent));
  if (node.parent < 0 || static_cast<std::size_t>(node.parent) >= id) {
    return bad_node(id, node, fmt::format("parent {} does not come before it", node.parent));
  }
  const NodeKind parent = topology.nodes[static_cast<std::size_t>(node.parent)].kind;
  if (!is_container(parent) || (parent == NodeKind::pci_switch && is_cpu_side(node.kind))) {
    return bad_node(id, node, fmt::format("lies in a {}, which cannot hold it", name(parent)));
  }
  if (is_cpu_side(node.kind) && enclosing(topology, node.parent, node.kind) != kNoNode) {
    return bad_node(id, node, "lies in another of its kind");
  }
  return {};
}

Status check_attributes(std::size_t id, const Node& node) {
  if (!is_name(node.name)) return bad_node(id, node, "name is too long or holds control characters");
  if (!is_name(node.pci_bus_id)) return bad_node(id, node, "PCI bus id is too long or holds control characters");
  if (!is_name(node.virtual_machine)) return bad_node(id, node, "virtual machine is too long or holds control characters");
  if (!node.virtual_machine.empty() && node.kind != NodeKind::machine)
    return bad_node(id, node, "is no virtual machine; only machines are");
  if (!is_amount(node.cpu_quota)) return bad_node(id, node, fmt::format("CPU quota {}", node.cpu_quota));
  if (!node.cpus.empty() && node.kind != NodeKind::core) return bad_node(id, node, "has PUs; only cores do");
  if (node.cpus.size() > kMaxCpusPerCore) return bad_node(id, node, fmt::format("{} PUs", node.cpus.size()));
  for (std::size_t i = 0; i < node.cpus.size(); ++i) {
    if (node.cpus[i] < 0 || node.cpus[i] >= kMaxCpu) return bad_node(id, node, fmt::format("PU number {}", node.cpus[i]));
    if (i > 0 && node.cpus[i] <= node.cpus[i - 1]) return bad_node(id, node, "PU numbers are not ascending");
  }
  return {};
}

// A PU is in one core of its host only.
Status check_cpus_distinct(const Topology& topology) {
  std::unordered_map<std::uint64_t, std::size_t> owner;
  for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
    const Node& node = topology.nodes[id];
    if (node.cpus.empty()) continue;
    const auto machine = static_cast<std::uint64_t>(enclosing(topology, static_cast<NodeId>(id), NodeKind::machine));
    for (const int cpu : node.cpus) {
      const auto [found, fresh] = owner.try_emplace(machine << 32 | static_cast<std::uint64_t>(cpu), id);
      if (!fresh) return bad_node(id, node, fmt::format("PU {} belongs to node {} already", cpu, found->second));
    }
  }
  return {};
}

Status check_link(const Topology& topology, std::size_t id) {
  const Link& link = topology.links[id];
  const auto bad = [&](std::string_view what) {
    return Error(Code::invalid_argument, fmt::format("topology link {}: {}", id, what));
  };
  if (static_cast<int>(link.kind) >= kLinkKinds) return bad("unknown kind");
  if (static_cast<int>(link.origin) >= kOrigins) return bad("unknown origin");
  for (const NodeId end : {link.a, link.b}) {
    if (end < 0 || static_cast<std::size_t>(end) >= topology.nodes.size()) return bad(fmt::format("no node {}", end));
  }
  if (link.a == link.b) return bad(fmt::format("joins node {} to itself", link.a));
  if (!is_amount(link.bandwidth_gbps)) return bad(fmt::format("bandwidth {} GB/s", link.bandwidth_gbps));
  if (!is_amount(link.latency_us)) return bad(fmt::format("latency {} us", link.latency_us));
  return {};
}

}  // namespace

Status check(const Topology& topology) {
  if (topology.nodes.size() > kMaxTopologyNodes || topology.links.size() > kMaxTopologyLinks) {
    return Error(Code::invalid_argument, fmt::format("topology of {} nodes and {} links: more than the {} allowed",
                                                     topology.nodes.size(), topology.links.size(), kMaxTopologyNodes));
  }
  std::vector<int> depth(topology.nodes.size(), 0);
  for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
    const Node& node = topology.nodes[id];
    if (Status status = check_parent(topology, id); !status) return status;
    if (node.parent != kNoNode) depth[id] = depth[static_cast<std::size_t>(node.parent)] + 1;
    if (depth[id] > kMaxDepth) return bad_node(id, node, fmt::format("nested more than {} deep", kMaxDepth));
    if (Status status = check_attributes(id, node); !status) return status;
  }
  if (hosts(topology) == 0) return Error(Code::invalid_argument, "topology without a machine");
  if (Status status = check_cpus_distinct(topology); !status) return status;
  for (std::size_t id = 0; id < topology.links.size(); ++id) {
    if (Status status = check_link(topology, id); !status) return status;
  }
  return {};
}

}  // namespace tutti
