#include "topology/search/rails.h"

#include <algorithm>
#include <map>

#include "topology/search/route.h"

namespace tutti::search {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

Nearness nearness(const Graph& graph, const Path& path) {
  Nearness found = Nearness::pci_switch;
  for (const int arc : path) {
    const NodeKind kind = graph.kinds[at(graph.to(arc))];
    const bool processor = kind == NodeKind::package || kind == NodeKind::numa || kind == NodeKind::machine;
    if (processor) found = found == Nearness::pci_switch ? Nearness::package : Nearness::host;
  }
  return found;
}

double network_gbps(const Graph& graph, int nic) {
  double gbps = 0;
  for (const Arc& arc : graph.arcs[at(nic)])
    if (graph.kind(arc.id) == LinkKind::network) gbps += graph.gbps(arc.id);
  return gbps;
}

}  // namespace

std::vector<Rail> rails(const Graph& graph) {
  Router router(graph);
  std::map<int, std::vector<int>> nics_of_domain;
  for (std::size_t v = 0; v < graph.nodes.size(); ++v)
    if (graph.kinds[v] == NodeKind::nic) nics_of_domain[graph.domain_of[v]].push_back(static_cast<int>(v));
  std::vector<Rail> result(graph.ends.size());
  std::map<int, int> ranks_of;
  std::vector<int> chosen(graph.ends.size(), -1);
  for (std::size_t r = 0; r < graph.ends.size(); ++r) {
    const auto nics = nics_of_domain.find(graph.domain_of[at(graph.ends[r])]);
    if (nics == nics_of_domain.end()) continue;
    router.explore(graph.ends[r], 0, Via::inside);
    std::tuple<Nearness, double, int> best;
    for (const int nic : nics->second) {
      if (!router.reached(nic)) continue;
      const double network = network_gbps(graph, nic), way = router.left_to(nic);
      const double gbps = network > 0 ? std::min(network, way) : way;
      const std::tuple<Nearness, double, int> here{nearness(graph, router.path_to(nic)), -gbps, ranks_of[nic]};
      if (chosen[r] >= 0 && !(here < best)) continue;
      best = here;
      chosen[r] = nic;
      result[r] = {graph.nodes[at(nic)], std::get<0>(here), gbps, 1};
    }
    if (chosen[r] >= 0) ++ranks_of[chosen[r]];
  }
  for (std::size_t r = 0; r < result.size(); ++r)
    if (chosen[r] >= 0) result[r].sharers = ranks_of[chosen[r]];
  return result;
}

}  // namespace tutti::search
