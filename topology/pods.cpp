// Pods are found in the links themselves, as tori are: whatever source describes a network of switches.
#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "topology/gpus.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

class Network {
 public:
  Network(const Topology& topology, HostLinks links) : topology_(topology), height_(topology.nodes.size(), kNowhere) {
    const std::vector<int> host = host_of_nodes(topology);
    for (std::size_t id = 0; id < host.size(); ++id)
      if (host[id] >= 0) height_[id] = 0;
    for (bool grows = true; grows && top_ < kMostLevels; ++top_) {
      grows = false;
      for (const Link& link : topology.links)
        if (link.kind == LinkKind::network) grows |= lift(link.a, link.b) || lift(link.b, link.a);
    }
    pair_gbps_ = between(topology, Level::leaf, links).bandwidth_gbps;
    one_link_gbps_ = between(topology, Level::leaf, HostLinks::fastest).bandwidth_gbps;
  }

  std::vector<Pods> tapered() {
    std::vector<Pods> found;
    for (int height = 1; height < top_; ++height)
      if (const auto pods = below(height)) found.push_back(*pods);
    return found;
  }

 private:
  static constexpr int kNowhere = INT32_MAX, kMostLevels = 8;  // of switches; those farther away are above them all

  // A switch stands one above the hosts, or the lowest switch, that it is joined to.
  bool lift(NodeId from, NodeId to) {
    if (height_[at(from)] != top_ || height_[at(to)] != kNowhere || topology_.nodes[at(to)].kind != NodeKind::net_switch)
      return false;
    height_[at(to)] = top_ + 1;
    return true;
  }

  [[nodiscard]] bool is_host(NodeId id) const { return height_[at(id)] == 0; }

  struct Load {
    double below = 0, above = 0;  // GB/s
  };

  // Of the hosts that switches up to this height join: what goes up from them, where that is less than what comes from hosts.
  std::optional<Pods> below(int height) {
    group_.resize(topology_.nodes.size());
    std::iota(group_.begin(), group_.end(), 0);
    for (std::size_t id = 0; id < group_.size(); ++id)
      if (topology_.nodes[id].parent != kNoNode) group_[id] = topology_.nodes[id].parent;
    const auto inside = [&](NodeId id) { return height_[at(id)] <= height; };
    for (const Link& link : topology_.links)
      if (link.kind == LinkKind::network && inside(link.a) && inside(link.b)) group_[at(root(link.a))] = root(link.b);
    const auto size = equal_neighbours();
    if (!size) return std::nullopt;
    std::map<int, Load> loads;
    for (const Link& link : topology_.links) {
      if (link.kind != LinkKind::network) continue;
      const auto [low, high] = std::minmax(link.a, link.b, [&](NodeId a, NodeId b) { return height_[at(a)] < height_[at(b)]; });
      if (is_host(low) && !is_host(high))
        loads[root(low)].below += link.bandwidth_gbps > 0 ? link.bandwidth_gbps : one_link_gbps_;
      if (!inside(low) || inside(high)) continue;
      if (link.bandwidth_gbps == 0) return std::nullopt;  // nobody knows
      loads[root(low)].above += link.bandwidth_gbps;
    }
    std::optional<Pods> narrowest;
    for (const auto& [group, load] : loads) {
      const double uplinks = load.above / pair_gbps_;
      if (load.above > 0 && load.above < load.below * kSurely && (!narrowest || uplinks < narrowest->uplinks))
        narrowest = Pods{*size, uplinks};
    }
    return narrowest;
  }

  int root(int id) {
    while (group_[at(id)] != id) id = group_[at(id)] = group_[at(group_[at(id)])];
    return id;
  }

  // How many hosts, one after the other, are in each group but the last, which may have fewer.
  std::optional<int> equal_neighbours() {
    std::vector<int> runs;
    std::set<int> seen;
    int last = -1;
    for (std::size_t id = 0; id < topology_.nodes.size(); ++id) {
      if (topology_.nodes[id].kind != NodeKind::machine) continue;
      const int group = root(static_cast<int>(id));
      if (group != last && !seen.insert(group).second) return std::nullopt;
      if (group != last) runs.push_back(0);
      ++runs.back();
      last = group;
    }
    if (runs.size() < 2 || runs.back() > runs.front()) return std::nullopt;
    if (std::any_of(runs.begin(), runs.end() - 1, [&](int run) { return run != runs.front(); })) return std::nullopt;
    return runs.front();
  }

  static constexpr double kSurely = 1 - 1e-9;
  const Topology& topology_;
  std::vector<int> height_;  // by node: 0 in hosts; switches above
  int top_ = 0;
  double pair_gbps_ = 0, one_link_gbps_ = 0;
  std::vector<int> group_;  // by node, one step towards the one that stands for all
};

}  // namespace

std::vector<Pods> tapered_pods(const Topology& topology, HostLinks links) { return Network(topology, links).tapered(); }

}  // namespace tutti
