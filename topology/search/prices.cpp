// What it costs ranks on GPUs to talk, from the links between them.
#include <algorithm>
#include <map>

#include "topology/estimates.h"
#include "topology/search/route.h"
#include "tutti/route_search.h"

namespace tutti {
namespace {

using namespace search;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// What the network's links say it takes; 0 where they say nothing.
double network_us(const Graph& graph, const Path& path) {
  double sum = 0;
  for (const int arc : path)
    if (graph.kind(arc) == LinkKind::network) sum += graph.edges[at(arc / 2)].latency_us;
  return sum;
}

double latency_us(const Graph& graph, const Path& path) {
  const auto passes = [&](auto is) {
    return std::any_of(path.begin(), path.end(), [&](int arc) { return is(graph.kind(arc)); });
  };
  if (passes([](LinkKind kind) { return kind == LinkKind::network; })) {
    const double said = network_us(graph, path);
    return said > 0 ? said : kNetworkHopUs;
  }
  return passes([](LinkKind kind) { return !is_fast(kind); }) ? kPcieHopUs : kNvlinkHopUs;
}

// The innermost level that two ranks share; as many as there are levels when none.
std::size_t shared(std::span<const LevelGroups> levels, std::size_t a, std::size_t b) {
  std::size_t l = 0;
  while (l < levels.size() && levels[l].group_of[a] != levels[l].group_of[b]) ++l;
  return l;
}

}  // namespace

std::vector<LinkParameters> between(const Topology& topology, std::span<const NodeId> ends, std::span<const LevelGroups> levels) {
  const Graph graph = make_graph(topology, ends);
  const std::vector<Domain> all = domains(graph);
  Router router(graph);
  std::vector<LinkParameters> links(levels.size() + 1);
  std::vector<bool> known(links.size(), false);
  std::vector<int> domain_of(ends.size(), -1);  // by rank
  for (std::size_t d = 0; d < all.size(); ++d)
    for (const int end : all[d].ends) domain_of[at(graph.rank_of[at(end)])] = static_cast<int>(d);
  const auto add = [&](std::size_t level, const Path& path, double gbps) {
    LinkParameters& link = links[level];
    link.latency_us = std::max(link.latency_us, latency_us(graph, path));
    link.bandwidth_gbps = known[level] ? std::min(link.bandwidth_gbps, gbps) : gbps;
    known[level] = true;
  };
  for (std::size_t d = 0; d < all.size(); ++d) {
    if (all[d].alike != static_cast<int>(d)) continue;
    for (const int end : all[d].ends) {
      const auto me = at(graph.rank_of[at(end)]);
      router.explore(end, 0, Via::any);
      // All of the own domain. For each level beyond it the best one of the first domain there: on rails that is who has the same
      // place, and others are reached by way of it.
      std::map<std::size_t, int> best;
      std::map<std::size_t, int> first_domain;
      for (std::size_t r = 0; r < ends.size(); ++r) {
        const int other = graph.ends[r];
        if (r == me || !router.reached(other)) continue;
        const std::size_t level = shared(levels, me, r);
        const int domain = domain_of[r];
        if (domain == static_cast<int>(d)) {
          add(level, router.path_to(other), router.left_to(other));
          continue;
        }
        if (first_domain.try_emplace(level, domain).first->second != domain) continue;
        const auto found = best.try_emplace(level, other).first;
        if (router.left_to(other) > router.left_to(found->second)) found->second = other;
      }
      for (const auto& [level, other] : best) add(level, router.path_to(other), router.left_to(other));
    }
  }
  // Nothing is as far apart as that, or nothing joins what is.
  for (std::size_t l = 0; l < links.size(); ++l)
    if (!known[l]) links[l] = l > 0 ? links[l - 1] : between(topology, Level::host);
  return links;
}

}  // namespace tutti
