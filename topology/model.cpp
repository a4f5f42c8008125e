#include <algorithm>
#include <cmath>

#include "core/hash.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

constexpr std::uint64_t kGiB = 1ull << 30;

std::uint64_t to_gib(std::uint64_t bytes) { return bytes / kGiB + (bytes % kGiB >= kGiB / 2 ? 1 : 0); }

void hash_node(Hasher& hasher, const Node& node) {
  hasher.value(node.kind).value(node.parent).text(node.kind == NodeKind::machine ? std::string_view() : node.name);
  hasher.value(static_cast<std::uint64_t>(node.cpus.size()));
  for (const int cpu : node.cpus) hasher.value(cpu);
  hasher.value(to_gib(node.memory_bytes)).value(node.cache_bytes).text(node.pci_bus_id);
  hasher.value(node.cpu_quota).value(to_gib(node.memory_limit_bytes));
}

void hash_link(Hasher& hasher, const Link& link) {
  hasher.value(link.a).value(link.b).value(link.kind).value(link.bandwidth_gbps).value(link.latency_us);
}

// Of two sizes the smaller one that is known.
std::uint64_t smaller_known(std::uint64_t a, std::uint64_t b) { return a == 0 ? b : (b == 0 ? a : std::min(a, b)); }

}  // namespace

std::string_view name(NodeKind kind) noexcept {
  switch (kind) {
    case NodeKind::machine:
      return "machine";
    case NodeKind::package:
      return "package";
    case NodeKind::numa:
      return "numa";
    case NodeKind::l3:
      return "l3";
    case NodeKind::core:
      return "core";
    case NodeKind::pci_switch:
      return "pci_switch";
    case NodeKind::gpu:
      return "gpu";
    case NodeKind::nvswitch:
      return "nvswitch";
    case NodeKind::nic:
      return "nic";
    case NodeKind::net_switch:
      return "net_switch";
  }
  return "?";
}

std::string_view name(LinkKind kind) noexcept {
  switch (kind) {
    case LinkKind::nvlink:
      return "nvlink";
    case LinkKind::xgmi:
      return "xgmi";
    case LinkKind::memory:
      return "memory";
    case LinkKind::pcie:
      return "pcie";
    case LinkKind::network:
      return "network";
  }
  return "?";
}

std::string_view name(Origin origin) noexcept {
  switch (origin) {
    case Origin::hwloc:
      return "hwloc";
    case Origin::system:
      return "system";
    case Origin::estimate:
      return "estimate";
    case Origin::synthetic:
      return "synthetic";
    case Origin::file:
      return "file";
  }
  return "?";
}

std::string_view name(Level level) noexcept {
  switch (level) {
    case Level::core:
      return "core";
    case Level::l3:
      return "l3";
    case Level::numa:
      return "numa";
    case Level::package:
      return "package";
    case Level::nvlink:
      return "nvlink";
    case Level::host:
      return "host";
    case Level::leaf:
      return "leaf";
    case Level::network:
      return "network";
  }
  return "?";
}

std::uint64_t fingerprint(const Topology& topology) {
  Hasher hasher;
  hasher.value(static_cast<std::uint64_t>(topology.nodes.size()));
  for (const Node& node : topology.nodes) hash_node(hasher, node);
  for (const Link& link : topology.links) hash_link(hasher, link);
  return hasher.result();
}

int hosts(const Topology& topology) {
  return static_cast<int>(
      std::count_if(topology.nodes.begin(), topology.nodes.end(), [](const Node& n) { return n.kind == NodeKind::machine; }));
}

NodeId machine_of(const Topology& topology, int host) {
  int seen = 0;
  for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
    if (topology.nodes[id].kind == NodeKind::machine && seen++ == host) return static_cast<NodeId>(id);
  }
  return kNoNode;
}

NodeId enclosing(const Topology& topology, NodeId node, NodeKind kind) {
  while (node != kNoNode && topology.nodes[static_cast<std::size_t>(node)].kind != kind) {
    node = topology.nodes[static_cast<std::size_t>(node)].parent;
  }
  return node;
}

std::vector<NodeId> usable_cores(const Topology& topology, int host) {
  const NodeId machine = machine_of(topology, host);
  std::vector<NodeId> cores;
  for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
    const Node& node = topology.nodes[id];
    if (node.kind != NodeKind::core || node.cpus.empty()) continue;
    if (enclosing(topology, static_cast<NodeId>(id), NodeKind::machine) == machine) cores.push_back(static_cast<NodeId>(id));
  }
  return cores;
}

int available_cores(const Topology& topology, int host) {
  const NodeId machine = machine_of(topology, host);
  if (machine == kNoNode) return 1;
  const double quota = topology.nodes[static_cast<std::size_t>(machine)].cpu_quota;
  auto cores = static_cast<double>(usable_cores(topology, host).size());
  if (quota > 0) cores = std::min(cores, std::ceil(quota));
  return std::max(1, static_cast<int>(cores));
}

CacheSizes cache_sizes(const Topology& topology, int host) {
  CacheSizes sizes;
  std::vector<int> cores_of_l3(topology.nodes.size(), 0);
  for (const NodeId core : usable_cores(topology, host)) {
    sizes.l2_bytes = smaller_known(sizes.l2_bytes, topology.nodes[static_cast<std::size_t>(core)].cache_bytes);
    const NodeId l3 = enclosing(topology, core, NodeKind::l3);
    if (l3 == kNoNode) continue;
    sizes.l3_bytes = smaller_known(sizes.l3_bytes, topology.nodes[static_cast<std::size_t>(l3)].cache_bytes);
    sizes.cores_per_l3 = std::max(sizes.cores_per_l3, ++cores_of_l3[static_cast<std::size_t>(l3)]);
  }
  return sizes;
}

std::uint64_t cache_share(const Topology& topology, int ranks, int host) {
  const CacheSizes sizes = cache_sizes(topology, host);
  if (sizes.l3_bytes == 0) return sizes.l2_bytes;
  return sizes.l3_bytes / static_cast<std::uint64_t>(std::clamp(ranks, 1, std::max(sizes.cores_per_l3, 1)));
}

}  // namespace tutti
