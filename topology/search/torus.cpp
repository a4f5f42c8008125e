#include "topology/search/torus.h"

#include <algorithm>
#include <limits>
#include <map>

#include "topology/gpus.h"
#include "topology/wires.h"

namespace tutti::search {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// What joins two hosts, the lower one first: all links together, and the ends of one of them.
struct Joint {
  NodeId low = kNoNode, high = kNoNode;
  double gbps = 0;
};
using Joints = std::map<std::pair<Rank, Rank>, Joint>;

Joints joints(const Topology& topology) {
  const std::vector<int> host = host_of_nodes(topology);
  Joints result;
  for (const Link& link : topology.links) {
    const int a = host[at(link.a)], b = host[at(link.b)];
    if (link.kind != LinkKind::network || a < 0 || b < 0 || a == b) continue;
    Joint& joint = result[std::minmax(a, b)];
    joint.low = a < b ? link.a : link.b;
    joint.high = a < b ? link.b : link.a;
    joint.gbps += link.bandwidth_gbps > 0 ? link.bandwidth_gbps : usual_gbps(link.kind);
  }
  return result;
}

// Every ring enters each host once.
double least_into_a_host(const Joints& joints, std::size_t hosts) {
  std::vector<double> into(hosts);
  for (const auto& [pair, joint] : joints) {
    into[at(pair.first)] += joint.gbps;
    into[at(pair.second)] += joint.gbps;
  }
  return *std::ranges::min_element(into);
}

std::vector<NodeId> hop(const std::vector<NodeId>& hosts, const Joints& joints, Rank from, Rank to) {
  const Joint& joint = joints.at(std::minmax(from, to));
  std::vector<NodeId> nodes{hosts[at(from)], from < to ? joint.low : joint.high, from < to ? joint.high : joint.low,
                            hosts[at(to)]};
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());  // a link may end at a NIC or at the host itself
  return nodes;
}

FoundTree cut_open(const FoundRing& ring) {
  FoundTree tree{.parent = std::vector<Rank>(ring.order.size(), kNoRank),
                 .gbps = ring.gbps,
                 .depth = static_cast<int>(ring.order.size()) - 1,
                 .port = kNoNode,
                 .hops = std::vector<std::vector<NodeId>>(ring.order.size())};
  for (std::size_t i = 1; i < ring.order.size(); ++i) {
    tree.parent[at(ring.order[i])] = ring.order[i - 1];
    tree.hops[at(ring.order[i])] = ring.hops[i - 1];
  }
  return tree;
}

}  // namespace

std::vector<NodeId> machines(const Topology& topology) {
  std::vector<NodeId> result;
  for (std::size_t id = 0; id < topology.nodes.size(); ++id)
    if (topology.nodes[id].kind == NodeKind::machine) result.push_back(static_cast<NodeId>(id));
  return result;
}

Result<RouteSearch> search_torus(const Topology& topology) {
  const std::vector<int> dimensions = torus_dimensions(topology);
  if (dimensions.empty())
    return Error(Code::invalid_argument, "ranks sit on hosts whose links do not form a torus; let them sit on GPUs or cores");
  RouteSearch result;
  result.ends = machines(topology);
  result.rails.resize(result.ends.size());
  const Joints between = joints(topology);
  result.ring_bound_gbps = result.tree_bound_gbps = least_into_a_host(between, result.ends.size());
  for (auto& order : torus_rings(dimensions)) {
    FoundRing ring{.order = std::move(order), .gbps = std::numeric_limits<double>::infinity(), .port = kNoNode, .hops = {}};
    for (std::size_t i = 0; i < ring.order.size(); ++i) {
      const Rank from = ring.order[i], to = ring.order[(i + 1) % ring.order.size()];
      ring.gbps = std::min(ring.gbps, between.at(std::minmax(from, to)).gbps);
      ring.hops.push_back(hop(result.ends, between, from, to));
    }
    result.trees.push_back(cut_open(ring));
    result.rings.push_back(std::move(ring));
  }
  result.steps = result.rings.size() * result.ends.size();
  return result;
}

}  // namespace tutti::search
