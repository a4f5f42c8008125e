#include "topology/gpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace tutti {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// Which ends are neighbours: over one link of at least so many GB/s, or over NVSwitches that are joined.
class Neighbours {
 public:
  Neighbours(const Topology& topology, std::span<const NodeId> ends, double least_gbps)
      : fabric_(topology.nodes.size()), fabrics_of_(ends.size()), direct_(ends.size()) {
    std::iota(fabric_.begin(), fabric_.end(), 0);
    std::map<NodeId, int> rank;
    for (std::size_t r = 0; r < ends.size(); ++r) rank.emplace(ends[r], static_cast<int>(r));
    const auto is_switch = [&](NodeId id) { return topology.nodes[at(id)].kind == NodeKind::nvswitch; };
    const auto fast = [&](const Link& link) { return is_fast(link.kind) && link.bandwidth_gbps >= least_gbps; };
    for (const Link& link : topology.links)
      if (fast(link) && is_switch(link.a) && is_switch(link.b)) fabric_[at(root(link.a))] = root(link.b);
    for (const Link& link : topology.links) {
      if (!fast(link)) continue;
      for (const auto& [from, to] : {std::pair(link.a, link.b), std::pair(link.b, link.a)}) {
        const auto r = rank.find(from);
        if (r == rank.end()) continue;
        if (is_switch(to)) fabrics_of_[at(r->second)].insert(root(to));
        if (const auto peer = rank.find(to); peer != rank.end()) direct_[at(r->second)].insert(peer->second);
      }
    }
  }

  [[nodiscard]] bool alone(int r) const { return direct_[at(r)].empty() && fabrics_of_[at(r)].empty(); }

  [[nodiscard]] bool are(int a, int b) const {
    if (direct_[at(a)].contains(b)) return true;
    const auto& one = fabrics_of_[at(a)];
    return std::any_of(one.begin(), one.end(), [&](int fabric) { return fabrics_of_[at(b)].contains(fabric); });
  }

 private:
  int root(int id) {
    while (fabric_[at(id)] != id) id = fabric_[at(id)] = fabric_[at(fabric_[at(id)])];
    return id;
  }

  std::vector<int> fabric_;  // of switches: one that all that are joined have in common
  std::vector<std::set<int>> fabrics_of_;
  std::vector<std::set<int>> direct_;
};

using Groups = std::vector<std::vector<int>>;

// Each end joins the last group all of which are its neighbours: groups are met near where their ranks are.
Groups cliques(const Neighbours& neighbours, std::size_t ends) {
  Groups groups;
  for (int r = 0; r < static_cast<int>(ends); ++r) {
    if (neighbours.alone(r)) continue;
    const auto joined = std::find_if(groups.rbegin(), groups.rend(), [&](const std::vector<int>& group) {
      return std::all_of(group.begin(), group.end(), [&](int member) { return neighbours.are(r, member); });
    });
    if (joined == groups.rend()) {
      groups.push_back({r});
    } else {
      joined->push_back(r);
    }
  }
  std::erase_if(groups, [](const std::vector<int>& group) { return group.size() == 1; });
  return groups;
}

bool equal_sizes(const Groups& groups) {
  return !groups.empty() &&
         std::all_of(groups.begin(), groups.end(), [&](const auto& group) { return group.size() == groups.front().size(); });
}

std::vector<int> number(const Groups& groups, std::size_t ends) {
  std::vector<int> group_of(ends, -1);
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (const int member : groups[g]) group_of[at(member)] = static_cast<int>(g);
  return group_of;
}

}  // namespace

std::vector<int> nvlink_groups(const Topology& topology, std::span<const NodeId> ends) {
  std::set<double> widths;
  for (const Link& link : topology.links)
    if (is_fast(link.kind)) widths.insert(link.bandwidth_gbps);
  if (widths.empty()) return std::vector<int>(ends.size(), -1);
  for (const double least_gbps : widths)
    if (auto groups = cliques(Neighbours(topology, ends, least_gbps), ends.size()); equal_sizes(groups))
      return number(groups, ends.size());
  return number(cliques(Neighbours(topology, ends, *widths.begin()), ends.size()), ends.size());
}

std::vector<int> host_of_nodes(const Topology& topology) {
  std::vector<int> host(topology.nodes.size(), -1);
  int machines = 0;
  for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
    const Node& node = topology.nodes[id];
    if (node.parent != kNoNode) host[id] = host[at(node.parent)];
    if (node.kind == NodeKind::machine) host[id] = machines++;
  }
  return host;
}

std::vector<int> leaf_of_hosts(const Topology& topology) {
  std::map<NodeId, std::set<NodeId>> switches;
  for (const Link& link : topology.links)
    for (const auto& [from, to] : {std::pair(link.a, link.b), std::pair(link.b, link.a)})
      if (topology.nodes[at(to)].kind == NodeKind::net_switch)
        if (const NodeId machine = enclosing(topology, from, NodeKind::machine); machine != kNoNode) switches[machine].insert(to);
  std::map<std::set<NodeId>, int> number;
  std::vector<int> result;
  for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
    if (topology.nodes[id].kind != NodeKind::machine) continue;
    const auto plugged = switches.find(static_cast<NodeId>(id));
    result.push_back(
        plugged == switches.end() ? -1 : number.try_emplace(plugged->second, static_cast<int>(number.size())).first->second);
  }
  return result;
}

std::vector<NodeId> gpus(const Topology& topology) {
  std::vector<NodeId> result;
  for (std::size_t id = 0; id < topology.nodes.size(); ++id)
    if (topology.nodes[id].kind == NodeKind::gpu) result.push_back(static_cast<NodeId>(id));
  return result;
}

Result<std::vector<NodeId>> place_on_gpus(const Topology& topology, int ranks) {
  std::vector<NodeId> all = gpus(topology);
  if (ranks < 1 || static_cast<std::size_t>(ranks) > all.size())
    return Error(Code::invalid_argument, fmt::format("{} ranks, one per GPU, on {} GPUs", ranks, all.size()));
  all.resize(static_cast<std::size_t>(ranks));
  return all;
}

}  // namespace tutti
