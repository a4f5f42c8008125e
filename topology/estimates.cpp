// What two ranks pay, from the topology where it knows and from defaults where not.
//
//   they share                 latency   bandwidth   why
//   a core with several PUs    0.03 us   12 GB/s     the line stays in one L1
//   a core's only PU           3 us      12 GB/s     they take turns: one switch of context and back
//   an L3                      0.05      12          line moves measured in public core-to-core tables (github.com/nviennot/
//   a NUMA node                0.11      10          core-to-core-latency): about 25 to 50 ns inside one L3, 100 to 110 across
//   a package                  0.13       9          the L3s of one EPYC socket, 130 to 200 to the other socket
//   a host                     0.20       6
//   the network                10         3.1        25 Gbit/s Ethernet through the kernel, 2 us on InfiniBand
//
// Bandwidths are what one core copies from another's cache or memory.
#include "topology/estimates.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "topology/host_links.h"
#include "topology/wires.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

constexpr double kTurnUs = 3;

const LinkParameters& usual(Level level) {
  static const std::array<LinkParameters, kLevels> kUsual = {{
      {0.03, 12, Origin::estimate},
      {0.05, 12, Origin::estimate},
      {0.11, 10, Origin::estimate},
      {0.13, 9, Origin::estimate},
      {kNvlinkHopUs, usual_gbps(LinkKind::nvlink), Origin::estimate},
      {0.20, 6, Origin::estimate},
      {kEthernetLatencyUs, kNetworkGbps, Origin::estimate},
      {kEthernetLatencyUs, kNetworkGbps, Origin::estimate},
  }};
  return kUsual[static_cast<std::size_t>(level)];
}

// How many things of `inner` kind that hold cores lie in one of `outer` kind, at most.
int most_inside(const Topology& topology, NodeKind inner, NodeKind outer) {
  std::vector<bool> seen(topology.nodes.size(), false);
  std::unordered_map<NodeId, int> inside;
  int most = 0;
  for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
    if (topology.nodes[id].kind != NodeKind::core) continue;
    const NodeId in = enclosing(topology, static_cast<NodeId>(id), inner);
    const NodeId out = enclosing(topology, static_cast<NodeId>(id), outer);
    if (in == kNoNode || seen[static_cast<std::size_t>(in)]) continue;
    seen[static_cast<std::size_t>(in)] = true;
    most = std::max(most, ++inside[out]);
  }
  return most;
}

// The mean latency of memory links that stay inside a package, or that leave it; 0 when nothing is known.
double memory_latency(const Topology& topology, bool across_packages) {
  double sum = 0;
  int links = 0;
  for (const Link& link : topology.links) {
    if (link.kind != LinkKind::memory || link.latency_us == 0) continue;
    const NodeId a = enclosing(topology, link.a, NodeKind::package), b = enclosing(topology, link.b, NodeKind::package);
    if ((a != b) != across_packages) continue;
    sum += link.latency_us;
    ++links;
  }
  return links == 0 ? 0 : sum / links;
}

LinkParameters with_latency(LinkParameters parameters, double latency_us) {
  if (latency_us > 0) parameters.latency_us = latency_us;
  return parameters;
}

}  // namespace

LinkParameters between(const Topology& topology, Level level, HostLinks links) {
  const LinkParameters& guess = usual(level);
  // Where a level holds one of the next inner kind only, being in it means being in that one.
  switch (level) {
    case Level::core: {
      const bool siblings =
          std::any_of(topology.nodes.begin(), topology.nodes.end(), [](const Node& n) { return n.cpus.size() > 1; });
      return siblings ? guess : with_latency(guess, kTurnUs);
    }
    case Level::l3:
      return guess;
    case Level::numa:
      return most_inside(topology, NodeKind::l3, NodeKind::numa) <= 1 ? between(topology, Level::l3) : guess;
    case Level::package:
      if (most_inside(topology, NodeKind::numa, NodeKind::package) <= 1) return between(topology, Level::numa);
      return with_latency(guess, memory_latency(topology, false));
    case Level::host:
      if (most_inside(topology, NodeKind::package, NodeKind::machine) <= 1) return between(topology, Level::package);
      return with_latency(guess, memory_latency(topology, true));
    case Level::nvlink:
      return guess;
    case Level::leaf:
      return between_hosts(topology, links).value_or(guess);
    case Level::network: {
      LinkParameters network = between_hosts(topology, links).value_or(guess);
      network.latency_us += longest_way_us(topology);
      return network;
    }
  }
  return guess;
}

LinkParameters between(const Placement& placement, Level level, HostLinks links) {
  LinkParameters slowest;
  for (const Topology& machine : placement.machines) {
    const LinkParameters here = between(machine, level, links);
    if (slowest.bandwidth_gbps == 0 || here.bandwidth_gbps < slowest.bandwidth_gbps) {
      slowest.bandwidth_gbps = here.bandwidth_gbps;
      slowest.origin = here.origin;
    }
    slowest.latency_us = std::max(slowest.latency_us, here.latency_us);
  }
  return slowest;
}

}  // namespace tutti
