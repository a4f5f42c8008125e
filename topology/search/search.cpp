#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "topology/search/flow.h"
#include "topology/search/rails.h"
#include "topology/search/torus.h"
#include "topology/search/trees.h"
#include "topology/search/whole.h"
#include "tutti/route_search.h"

namespace tutti {
namespace {

using namespace search;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

constexpr int kSharesTried = 16;          // the bound is split into so many equal rings at most
constexpr std::size_t kMostRings = 128;   // of one width, where each has a link of its own
constexpr std::uint64_t kSteps = 20'000;  // of the search for rings of one width in one kind of domain
constexpr double kAsGood = 0.999;
constexpr std::uint32_t kFinestWeight = 16;

Status check_ends(const Topology& topology, const std::vector<NodeId>& ends) {
  const auto bad = [](std::string what) { return Error(Code::invalid_argument, std::move(what)); };
  if (ends.empty()) return bad("the topology has no GPU and no core that may be used: there is nothing to join");
  std::set<NodeId> seen;
  for (const NodeId end : ends) {
    if (end < 0 || at(end) >= topology.nodes.size())
      return bad(fmt::format("there is no node {} among {}", end, topology.nodes.size()));
    const NodeKind kind = topology.nodes[at(end)].kind;
    if (kind != NodeKind::gpu && kind != NodeKind::core)
      return bad(fmt::format("node {} is a {}; ranks sit on GPUs or cores", end, name(kind)));
    if (!seen.insert(end).second) return bad(fmt::format("node {} stands twice; one rank per GPU or core", end));
  }
  return {};
}

// Widths that rings may have, the widest first: equal shares of the bound, and what links offer.
std::vector<double> widths(const Whole& whole, double bound_gbps) {
  std::vector<double> result;
  for (int k = 1; k <= kSharesTried; ++k) result.push_back(bound_gbps / k);
  const auto offer = [&](double gbps) {
    if (gbps < bound_gbps && gbps * kMostRings > bound_gbps) result.push_back(gbps);
  };
  for (const int kind : whole.kinds()) {
    const Domain& domain = whole.domains()[at(kind)];
    for (const int e : domain.edges) offer(whole.graph().edges[at(e)].gbps);
    for (const int port : domain.ports)
      for (const Arc& arc : whole.graph().arcs[at(port)])
        if (whole.graph().kind(arc.id) == LinkKind::network) offer(whole.graph().gbps(arc.id));
  }
  std::sort(result.begin(), result.end(), std::greater<>());
  result.erase(std::unique(result.begin(), result.end(), [](double a, double b) { return b > a * (1 - 1e-6); }), result.end());
  return result;
}

// Rings of one width in a domain of each kind, as many in each.
struct Packed {
  double width = 0;
  std::vector<std::vector<DomainRing>> of_kind;
  [[nodiscard]] std::size_t count() const { return of_kind.empty() ? 0 : of_kind.front().size(); }
  [[nodiscard]] double gbps() const { return width * static_cast<double>(count()); }
};

Packed pack(const Whole& whole, double width, double bound_gbps, std::uint64_t& steps) {
  Packed packed{width, {}};
  auto most = std::min(kMostRings, static_cast<std::size_t>(std::floor(bound_gbps / width * (1 + 1e-6))));
  for (const int kind : whole.kinds()) {
    packed.of_kind.push_back(pack_rings(whole.graph(), whole.domains()[at(kind)], whole.several(), width, most, kSteps, steps));
    most = packed.of_kind.back().size();
    if (most == 0) return {};
  }
  for (auto& rings : packed.of_kind) rings.resize(most);
  return packed;
}

Packed best_rings(const Whole& whole, double bound_gbps, std::uint64_t& steps) {
  Packed best;
  if (!(bound_gbps > 0)) return best;
  for (const double width : widths(whole, bound_gbps)) {
    Packed packed = pack(whole, width, bound_gbps, steps);
    if (packed.gbps() > best.gbps() / kAsGood) best = std::move(packed);
    if (best.gbps() >= bound_gbps * kAsGood) break;
  }
  return best;
}

double ring_bound(const Whole& whole, double broadcast_gbps, std::uint64_t& steps) {
  double gbps = broadcast_gbps;
  for (const int kind : whole.kinds()) {
    const Bound bound = circles_bound(whole.graph(), whole.domains()[at(kind)], whole.several());
    gbps = std::min(gbps, bound.gbps);
    steps += bound.steps;
  }
  return gbps;
}

// What a path passes, from its first vertex to its last.
std::vector<NodeId> nodes_of(const Graph& graph, const Path& path) {
  std::vector<NodeId> nodes;
  for (const int arc : path) {
    if (nodes.empty()) nodes.push_back(graph.nodes[at(graph.from(arc))]);
    nodes.push_back(graph.nodes[at(graph.to(arc))]);
  }
  return nodes;
}

struct WholeRing {
  std::vector<int> order;  // ends
  int port = -1;
  Way way;  // paths[i]: from order[i] to the next one
};

// One domain's ways after the other's.
bool join(Whole& whole, const Packed& packed, std::size_t which, WholeRing& ring) {
  ring = {};
  ring.way.width = packed.width;
  std::vector<DomainRing> parts;
  for (const Domain& domain : whole.domains()) {
    std::size_t kind = 0;
    while (whole.domains()[at(whole.kinds()[kind])].alike != domain.alike) ++kind;
    parts.push_back(whole.moved(packed.of_kind[kind][which], domain));
  }
  ring.port = parts.front().port;
  for (std::size_t d = 0; d < parts.size(); ++d) {
    const DomainRing& here = parts[d];
    ring.order.insert(ring.order.end(), here.order.begin(), here.order.end());
    if (!whole.several()) {
      ring.way.paths = here.hops;
      continue;
    }
    const DomainRing& next = parts[(d + 1) % parts.size()];
    ring.way.paths.insert(ring.way.paths.end(), here.hops.begin() + 1, here.hops.end());
    Path between, &out = ring.way.paths.back();
    if (!whole.route(whole.graph().to(here.out), whole.graph().from(next.in), packed.width, between)) return false;
    out.push_back(here.out);
    out.insert(out.end(), between.begin(), between.end());
    out.push_back(next.in);
    out.insert(out.end(), next.hops.front().begin(), next.hops.front().end());
  }
  return true;
}

void add_rings(Whole& whole, const Packed& packed, RouteSearch& result) {
  const Graph& graph = whole.graph();
  std::vector<WholeRing> rings;
  std::vector<Way> ways;
  for (std::size_t r = 0; r < packed.count(); ++r) {
    WholeRing ring;
    if (!join(whole, packed, r, ring)) continue;
    ways.push_back(ring.way);
    rings.push_back(std::move(ring));
  }
  const std::vector<double> gbps = measure(graph, ways);
  for (std::size_t r = 0; r < rings.size(); ++r) {
    FoundRing found;
    for (const int end : rings[r].order) found.order.push_back(graph.rank_of[at(end)]);
    found.gbps = gbps[r];
    found.port = rings[r].port < 0 ? kNoNode : graph.nodes[at(rings[r].port)];
    for (const Path& path : rings[r].way.paths) found.hops.push_back(nodes_of(graph, path));
    result.rings.push_back(std::move(found));
  }
}

void add_trees(Whole& whole, const Packed& packed, RouteSearch& result) {
  const Graph& graph = whole.graph();
  const std::vector<WholeTree> trees = pack_trees(whole, packed.of_kind, packed.width, result.tree_bound_gbps, result.steps);
  std::vector<Way> ways;
  for (const WholeTree& tree : trees) ways.push_back(tree.way);
  const std::vector<double> gbps = measure(graph, ways);
  for (std::size_t t = 0; t < trees.size(); ++t) {
    FoundTree found;
    found.parent = trees[t].parent;
    found.gbps = gbps[t];
    found.depth = static_cast<int>(depth(trees[t].parent));
    found.port = trees[t].port < 0 ? kNoNode : graph.nodes[at(trees[t].port)];
    for (const Path& path : trees[t].way.paths) found.hops.push_back(nodes_of(graph, path));
    result.trees.push_back(std::move(found));
  }
}

std::vector<std::uint32_t> weights(const std::vector<double>& gbps) {
  const double most = gbps.empty() ? 0 : *std::max_element(gbps.begin(), gbps.end());
  std::vector<std::uint32_t> result;
  std::uint32_t common = 0;
  for (const double g : gbps) {
    result.push_back(std::max(1u, static_cast<std::uint32_t>(std::lround(g / most * kFinestWeight))));
    common = std::gcd(common, result.back());
  }
  for (auto& weight : result) weight /= common;
  return result;
}

template <class Found>
std::vector<double> speeds(const std::vector<Found>& all) {
  std::vector<double> result;
  for (const Found& found : all) result.push_back(found.gbps);
  return result;
}

template <class Found>
double total(const std::vector<Found>& all) {
  double sum = 0;
  for (const Found& found : all) sum += found.gbps;
  return sum;
}

// Fills in rings, trees and their bounds.
Status search_links(Graph graph, const std::vector<Domain>& domains, RouteSearch& result) {
  prune(graph, domains);
  const Bound bound = broadcast_bound(graph, domains, graph.ends.front());
  if (!(bound.gbps > 0)) {
    return Error(Code::invalid_argument,
                 fmt::format("{} ranks on {} host(s), but some cannot be reached: nothing joins their hosts, or one has no link "
                             "to a network switch",
                             result.ends.size(), domains.size()));
  }
  Whole whole(graph, domains);
  result.steps += bound.steps;
  result.tree_bound_gbps = bound.gbps;
  result.ring_bound_gbps = ring_bound(whole, bound.gbps, result.steps);
  const Packed packed = best_rings(whole, result.ring_bound_gbps, result.steps);
  add_rings(whole, packed, result);
  add_trees(whole, packed, result);
  result.steps += whole.steps();
  return {};
}

}  // namespace

double RouteSearch::ring_gbps() const { return total(rings); }
double RouteSearch::tree_gbps() const { return total(trees); }

std::vector<NodeId> usual_ends(const Topology& topology) {
  std::vector<NodeId> gpus, cores;
  for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
    if (topology.nodes[id].kind == NodeKind::gpu) gpus.push_back(static_cast<NodeId>(id));
    if (topology.nodes[id].kind == NodeKind::core && !topology.nodes[id].cpus.empty()) cores.push_back(static_cast<NodeId>(id));
  }
  if (!gpus.empty()) return gpus;
  return torus_dimensions(topology).empty() ? cores : machines(topology);
}

Result<RouteSearch> search_routes(const Topology& topology) { return search_routes(topology, usual_ends(topology)); }

Result<RouteSearch> search_routes(const Topology& topology, std::vector<NodeId> ends) {
  if (!ends.empty() && ends == machines(topology) && ends.size() > 1) return search_torus(topology);
  if (auto status = check_ends(topology, ends); !status) return std::move(status.error());
  const Graph graph = make_graph(topology, ends);
  RouteSearch result;
  result.rails = rails(graph);
  result.levels = levels(locations(topology, ends));
  result.ends = std::move(ends);
  if (result.ends.size() == 1) return result;
  std::vector<Domain> all = domains(graph);
  if (auto status = search_links(graph, all, result); !status) return std::move(status.error());
  const auto is_linked = [](const Domain& domain) { return domain.linked; };
  if (!result.rings.empty() || std::none_of(all.begin(), all.end(), is_linked)) return result;
  // NVLink joins all, but no ring can be closed over it: other links help.
  for (Domain& domain : all) domain.linked = false;
  result.trees.clear();
  if (auto status = search_links(graph, all, result); !status) return std::move(status.error());
  return result;
}

Routes routes(const RouteSearch& search) {
  Routes result;
  const auto ring_weights = weights(speeds(search.rings)), tree_weights = weights(speeds(search.trees));
  for (std::size_t r = 0; r < search.rings.size(); ++r) result.rings.push_back({search.rings[r].order, ring_weights[r]});
  for (std::size_t t = 0; t < search.trees.size(); ++t) result.trees.push_back({search.trees[t].parent, tree_weights[t]});
  return result;
}

}  // namespace tutti
