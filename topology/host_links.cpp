#include "topology/host_links.h"

#include <algorithm>
#include <array>
#include <map>
#include <queue>
#include <string_view>

#include "topology/estimates.h"
#include "topology/wires.h"

namespace tutti {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// Devices as their drivers and rdma-core's persistent names call them, and interfaces of InfiniBand.
constexpr std::array<std::string_view, 13> kRdmaNames = {"mlx", "mthca", "ib",      "roce",   "rxe",  "hfi",  "qib",
                                                         "hns", "irdma", "bnxt_re", "ocrdma", "qedr", "erdma"};
// They have a protocol of their own (Amazon's EFA, and its persistent names).
constexpr std::array<std::string_view, 2> kOtherNames = {"efa", "rdmap"};

bool begins_with_any(std::string_view name, std::span<const std::string_view> beginnings) {
  return std::ranges::any_of(beginnings, [&](std::string_view one) { return name.starts_with(one); });
}

// No message goes through two kernels faster, and RDMA needs half of it.
constexpr double kLeastKernelUs = 4;

bool can_rdma(const Node& end, const Link& link) {
  if (begins_with_any(end.name, kOtherNames)) return false;
  return begins_with_any(end.name, kRdmaNames) || (link.latency_us > 0 && link.latency_us < kLeastKernelUs);
}

// Of one host to the network.
struct Plugs {
  LinkParameters fastest, fastest_rdma;
  LinkParameters together;  // those of RDMA that lead to switches, any of which may carry a part of a message
  std::size_t count = 0;
  [[nodiscard]] LinkParameters of(HostLinks links) const {
    if (links == HostLinks::all_rdma && fastest_rdma.bandwidth_gbps > 0) return count > 1 ? together : fastest_rdma;
    LinkParameters by_kernel = fastest;
    if (fastest_rdma.bandwidth_gbps > 0) by_kernel.latency_us = std::max(by_kernel.latency_us, kEthernetLatencyUs);
    return by_kernel;
  }
};

void take_faster(LinkParameters& best, const LinkParameters& one) {
  if (one.bandwidth_gbps >= best.bandwidth_gbps) best = one;
}

// By host. Links between switches are no host's.
std::map<NodeId, Plugs> plugs_of_hosts(const Topology& topology) {
  std::map<NodeId, Plugs> hosts;
  for (const Link& link : topology.links) {
    // Whoever describes a latency need not say how wide links are.
    const bool described = link.bandwidth_gbps > 0 || (link.latency_us > 0 && link.origin == Origin::synthetic);
    if (link.kind != LinkKind::network || !described) continue;
    const double gbps = link.bandwidth_gbps > 0 ? link.bandwidth_gbps : kNetworkGbps;
    for (const auto& [end, other] : {std::pair(link.a, link.b), std::pair(link.b, link.a)}) {
      const NodeId machine = enclosing(topology, end, NodeKind::machine);
      if (machine == kNoNode) continue;
      Plugs& plugs = hosts[machine];
      const LinkParameters one{link.latency_us == 0 ? kEthernetLatencyUs : link.latency_us, gbps, link.origin};
      take_faster(plugs.fastest, one);
      if (!can_rdma(topology.nodes[at(end)], link)) continue;
      take_faster(plugs.fastest_rdma, one);
      if (topology.nodes[at(other)].kind != NodeKind::net_switch || plugs.count == kMostRdmaLinks) continue;
      ++plugs.count;
      plugs.together = {std::max(plugs.together.latency_us, one.latency_us), plugs.together.bandwidth_gbps + one.bandwidth_gbps,
                        one.origin};
    }
  }
  return hosts;
}

HostLinks meant(const std::map<NodeId, Plugs>& hosts, HostLinks links) {
  if (links != HostLinks::expected) return links;
  const auto has_rdma = [](const auto& host) { return host.second.fastest_rdma.bandwidth_gbps > 0; };
  return !hosts.empty() && std::ranges::all_of(hosts, has_rdma) ? HostLinks::all_rdma : HostLinks::fastest;
}

// The switches that each host is plugged into, by host.
std::map<NodeId, std::vector<NodeId>> switches_of_hosts(const Topology& topology) {
  std::map<NodeId, std::vector<NodeId>> found;
  for (const Link& link : topology.links)
    for (const auto& [end, other] : {std::pair(link.a, link.b), std::pair(link.b, link.a)})
      if (topology.nodes[at(other)].kind == NodeKind::net_switch)
        if (const NodeId machine = enclosing(topology, end, NodeKind::machine); machine != kNoNode)
          found[machine].push_back(other);
  return found;
}

// The latencies of links between switches, summed along the ways from some of them.
class Ways {
 public:
  explicit Ways(const Topology& topology) : next_(topology.nodes.size()), us_(topology.nodes.size()) {
    const auto is_switch = [&](NodeId id) { return topology.nodes[at(id)].kind == NodeKind::net_switch; };
    for (const Link& link : topology.links) {
      if (link.kind != LinkKind::network || !is_switch(link.a) || !is_switch(link.b)) continue;
      next_[at(link.a)].push_back({link.b, link.latency_us});
      next_[at(link.b)].push_back({link.a, link.latency_us});
    }
  }

  // Dijkstra's.
  void from(const std::vector<NodeId>& switches) {
    std::ranges::fill(us_, kNever);
    using Reached = std::pair<double, NodeId>;
    std::priority_queue<Reached, std::vector<Reached>, std::greater<>> reached;
    for (const NodeId one : switches) reached.emplace(us_[at(one)] = 0, one);
    while (!reached.empty()) {
      const auto [us, here] = reached.top();
      reached.pop();
      if (us > us_[at(here)]) continue;
      for (const auto& [there, more_us] : next_[at(here)])
        if (us + more_us < us_[at(there)]) reached.emplace(us_[at(there)] = us + more_us, there);
    }
  }

  [[nodiscard]] double to(const std::vector<NodeId>& switches) const {
    double least = kNever;
    for (const NodeId one : switches) least = std::min(least, us_[at(one)]);
    return least;
  }

  static constexpr double kNever = 1e300;

 private:
  struct Next {
    NodeId to;
    double us;
  };
  std::vector<std::vector<Next>> next_;
  std::vector<double> us_;
};

}  // namespace

HostLinks expected_links(const Topology& topology) { return meant(plugs_of_hosts(topology), HostLinks::expected); }

int links_side_by_side(const Topology& topology, HostLinks links) {
  const auto hosts = plugs_of_hosts(topology);
  if (meant(hosts, links) == HostLinks::fastest || hosts.empty()) return 1;
  std::size_t fewest = kMostRdmaLinks;
  for (const auto& [machine, plugs] : hosts) fewest = std::min(fewest, plugs.count);
  return std::max(1, static_cast<int>(fewest));
}

std::optional<LinkParameters> between_hosts(const Topology& topology, HostLinks links) {
  const auto hosts = plugs_of_hosts(topology);
  const HostLinks used = meant(hosts, links);
  std::optional<LinkParameters> slowest;
  for (const auto& [machine, plugs] : hosts) {
    const LinkParameters host = plugs.of(used);
    const double latency_us = std::max(slowest ? slowest->latency_us : 0, host.latency_us);
    if (!slowest || host.bandwidth_gbps < slowest->bandwidth_gbps) slowest = host;
    slowest->latency_us = latency_us;
  }
  return slowest;
}

// Of a tree the farthest from wherever one starts is one end of the longest way.
double longest_way_us(const Topology& topology) {
  const auto hosts = switches_of_hosts(topology);
  if (hosts.empty()) return 0;
  Ways ways(topology);
  double longest = 0;
  const std::vector<NodeId>* start = &hosts.begin()->second;
  for (int sweep = 0; sweep < 2; ++sweep) {
    ways.from(*start);
    for (const auto& [machine, switches] : hosts)
      if (const double us = ways.to(switches); us < Ways::kNever && us > longest) {
        longest = us;
        start = &switches;
      }
  }
  return longest;
}

}  // namespace tutti
