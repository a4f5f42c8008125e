// Machines made by hand, every link with its bandwidth.
#pragma once

#include <utility>
#include <vector>

#include "tutti/topology.h"

namespace tutti::test {

class MachineMaker {
 public:
  NodeId add(NodeKind kind, NodeId parent = kNoNode) {
    Node node;
    node.kind = kind;
    node.parent = parent;
    topology.nodes.push_back(node);
    return static_cast<NodeId>(topology.nodes.size() - 1);
  }
  NodeId plug(NodeKind kind, NodeId into, double gbps) {
    const NodeId device = add(kind, into);
    link(into, device, LinkKind::pcie, gbps);
    return device;
  }
  void link(NodeId a, NodeId b, LinkKind kind, double gbps) { topology.links.push_back({a, b, kind, Origin::file, gbps, 0}); }

  Topology topology;
};

// Of eight V100 in a hypercube mesh: links of 25 GB/s, one or two between neighbours.
inline void join_as_cube(MachineMaker& m, const std::vector<NodeId>& gpus) {
  const int wires[][3] = {{0, 1, 1}, {0, 2, 1}, {0, 3, 2}, {0, 4, 2}, {1, 2, 2}, {1, 3, 1}, {1, 5, 2}, {2, 3, 2},
                          {2, 6, 1}, {3, 7, 1}, {4, 5, 1}, {4, 6, 1}, {4, 7, 2}, {5, 6, 2}, {5, 7, 1}, {6, 7, 2}};
  for (const auto& [a, b, count] : wires)
    m.link(gpus[static_cast<std::size_t>(a)], gpus[static_cast<std::size_t>(b)], LinkKind::nvlink, 25.0 * count);
}

inline Topology dgx1() {
  MachineMaker m;
  const NodeId machine = m.add(NodeKind::machine);
  std::vector<NodeId> gpus;
  for (int p = 0; p < 2; ++p) {
    const NodeId package = m.add(NodeKind::package, machine);
    for (int g = 0; g < 4; ++g) gpus.push_back(m.plug(NodeKind::gpu, package, 12));
  }
  join_as_cube(m, gpus);
  return m.topology;
}

// The same with PCIe as it is: two GPUs on a switch, two switches on a package, and less between the packages.
inline Topology cube_mesh(bool nvlink = true) {
  MachineMaker m;
  const NodeId machine = m.add(NodeKind::machine);
  const NodeId packages[] = {m.add(NodeKind::package, machine), m.add(NodeKind::package, machine)};
  m.link(packages[0], packages[1], LinkKind::memory, 12);
  std::vector<NodeId> gpus;
  for (int s = 0; s < 4; ++s) {
    const NodeId pci_switch = m.plug(NodeKind::pci_switch, packages[s / 2], 16);
    for (int g = 0; g < 2; ++g) gpus.push_back(m.plug(NodeKind::gpu, pci_switch, 16));
  }
  if (nvlink) join_as_cube(m, gpus);
  return m.topology;
}

struct Pod {
  int hosts = 2, gpus = 8, nics = 8;
  double nvlink = 450, pcie = 50, net = 50;
  int hosts_per_leaf = 0;  // 0: one switch joins all
  double uplink = 0;       // of a leaf to the one spine
};

// Hosts of two packages, GPUs on one NVSwitch, NICs each below a PCIe switch with its GPUs.
inline Topology pod(const Pod& p) {
  MachineMaker m;
  std::vector<std::vector<NodeId>> nics;
  for (int h = 0; h < p.hosts; ++h) {
    const NodeId machine = m.add(NodeKind::machine);
    const NodeId packages[] = {m.add(NodeKind::package, machine), m.add(NodeKind::package, machine)};
    m.link(packages[0], packages[1], LinkKind::memory, 40);
    const NodeId nvswitch = m.add(NodeKind::nvswitch, machine);
    nics.emplace_back();
    std::vector<NodeId> switches;
    for (int n = 0; n < p.nics; ++n) {
      switches.push_back(m.plug(NodeKind::pci_switch, packages[2 * n / p.nics], p.pcie));
      nics.back().push_back(m.plug(NodeKind::nic, switches.back(), p.pcie));
    }
    for (int g = 0; g < p.gpus; ++g) {
      const NodeId gpu = p.nics > 0 ? m.plug(NodeKind::gpu, switches[static_cast<std::size_t>(g * p.nics / p.gpus)], p.pcie)
                                    : m.plug(NodeKind::gpu, packages[2 * g / p.gpus], p.pcie);
      m.link(gpu, nvswitch, LinkKind::nvlink, p.nvlink);
    }
  }
  const NodeId spine = m.add(NodeKind::net_switch);
  NodeId leaf = spine;
  for (int h = 0; h < p.hosts; ++h) {
    if (p.hosts_per_leaf > 0 && h % p.hosts_per_leaf == 0) {
      leaf = m.add(NodeKind::net_switch);
      m.link(leaf, spine, LinkKind::network, p.uplink);
    }
    for (const NodeId nic : nics[static_cast<std::size_t>(h)]) m.link(nic, leaf, LinkKind::network, p.net);
  }
  return m.topology;
}

// Two packages with `gpus` each behind a PCIe switch per pair.
inline Topology pcie_only(int gpus, double pcie = 12, double between_packages = 20) {
  MachineMaker m;
  const NodeId machine = m.add(NodeKind::machine);
  const NodeId packages[] = {m.add(NodeKind::package, machine), m.add(NodeKind::package, machine)};
  m.link(packages[0], packages[1], LinkKind::memory, between_packages);
  NodeId pci_switch = kNoNode;
  for (int g = 0; g < gpus; ++g) {
    if (g % 2 == 0) pci_switch = m.plug(NodeKind::pci_switch, packages[2 * g / gpus], pcie);
    m.plug(NodeKind::gpu, pci_switch, pcie);
  }
  return m.topology;
}

// GPUs with links as listed, and no other way between them than PCIe.
inline Topology linked(int gpus, const std::vector<std::pair<int, int>>& wires, LinkKind kind, double gbps) {
  MachineMaker m;
  const NodeId machine = m.add(NodeKind::machine);
  const NodeId package = m.add(NodeKind::package, machine);
  std::vector<NodeId> all;
  for (int g = 0; g < gpus; ++g) all.push_back(m.plug(NodeKind::gpu, package, 16));
  for (const auto& [a, b] : wires) m.link(all[static_cast<std::size_t>(a)], all[static_cast<std::size_t>(b)], kind, gbps);
  return m.topology;
}

inline std::vector<std::pair<int, int>> all_pairs(int gpus) {
  std::vector<std::pair<int, int>> wires;
  for (int a = 0; a < gpus; ++a)
    for (int b = a + 1; b < gpus; ++b) wires.emplace_back(a, b);
  return wires;
}

}  // namespace tutti::test
