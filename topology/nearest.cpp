#include <algorithm>

#include "tutti/topology.h"

namespace tutti {
namespace {

NodeId parent_of(const Topology& topology, NodeId node) { return topology.nodes[static_cast<std::size_t>(node)].parent; }

bool inside(const Topology& topology, NodeId node, NodeId outer) {
  while (node > outer) node = parent_of(topology, node);  // parents come before what they hold
  return node == outer;
}

// The innermost thing that holds all of these PUs; kNoNode: no core of the first host has one of them.
NodeId around(const Topology& topology, std::span<const int> cpus) {
  NodeId found = kNoNode;
  for (const NodeId core : usable_cores(topology)) {
    const std::vector<int>& own = topology.nodes[static_cast<std::size_t>(core)].cpus;
    if (std::ranges::find_first_of(own, cpus) == own.end()) continue;
    if (found == kNoNode) found = core;
    while (!inside(topology, core, found)) found = parent_of(topology, found);
  }
  return found;
}

}  // namespace

std::vector<std::string> nearest_nics(const Topology& topology, std::span<const int> cpus) {
  std::vector<std::string> nics;
  for (NodeId at = around(topology, cpus); at != kNoNode && parent_of(topology, at) != kNoNode; at = parent_of(topology, at)) {
    for (NodeId id = at; id < static_cast<NodeId>(topology.nodes.size()); ++id) {
      const Node& node = topology.nodes[static_cast<std::size_t>(id)];
      if (node.kind == NodeKind::nic && !node.pci_bus_id.empty() && inside(topology, id, at)) nics.push_back(node.pci_bus_id);
    }
    if (!nics.empty()) break;
  }
  return nics;
}

}  // namespace tutti
