#include "topology/search/whole.h"

#include <algorithm>
#include <limits>

namespace tutti::search {
namespace {

constexpr double kAnything = -std::numeric_limits<double>::infinity();

std::size_t at(int i) { return static_cast<std::size_t>(i); }

Graph only_switches(const Graph& graph) {
  Graph result;
  result.nodes = graph.nodes;
  result.kinds = graph.kinds;
  result.edges = graph.edges;
  result.rank_of = graph.rank_of;
  result.arcs.resize(graph.arcs.size());
  for (std::size_t v = 0; v < graph.arcs.size(); ++v)
    if (graph.kinds[v] == NodeKind::net_switch)
      for (const Arc& arc : graph.arcs[v])
        if (graph.kinds[at(arc.to)] == NodeKind::net_switch) result.arcs[v].push_back(arc);
  return result;
}

// The switch at a domain's first port; the domains of one switch follow each other.
int first_switch(const Graph& graph, const Domain& domain) {
  for (const int port : domain.ports)
    for (const Arc& arc : graph.arcs[at(port)])
      if (graph.kinds[at(arc.to)] == NodeKind::net_switch) return arc.to;
  return -1;
}

// A port's arcs to network switches, in order.
std::vector<int> network_arcs(const Graph& graph, int port) {
  std::vector<int> result;
  for (const Arc& arc : graph.arcs[at(port)])
    if (graph.kinds[at(arc.to)] == NodeKind::net_switch) result.push_back(arc.id);
  return result;
}

}  // namespace

Whole::Whole(const Graph& graph, std::vector<Domain> domains)
    : graph_(graph), domains_(std::move(domains)), between_switches_(only_switches(graph)), switches_(between_switches_) {
  for (std::size_t d = 0; d < domains_.size(); ++d) {
    const Domain& domain = domains_[d];
    if (domain.alike != static_cast<int>(d)) continue;
    Places& places = places_[domain.alike];
    for (std::size_t i = 0; i < domain.vertices.size(); ++i) places.vertices.emplace(domain.vertices[i], i);
    for (std::size_t i = 0; i < domain.edges.size(); ++i) places.edges.emplace(domain.edges[i], i);
  }
  std::stable_sort(domains_.begin(), domains_.end(),
                   [&](const Domain& a, const Domain& b) { return first_switch(graph, a) < first_switch(graph, b); });
  for (std::size_t d = 0; d < domains_.size(); ++d) {
    if (places_.at(domains_[d].alike).vertices.contains(domains_[d].vertices.front())) kinds_.push_back(static_cast<int>(d));
  }
}

int Whole::moved_vertex(int vertex, const Domain& to) const { return to.vertices[places_.at(to.alike).vertices.at(vertex)]; }

Path Whole::moved(const Path& path, const Domain& to) const {
  const Places& places = places_.at(to.alike);
  Path result;
  result.reserve(path.size());
  for (const int arc : path) result.push_back(2 * to.edges[places.edges.at(arc / 2)] + arc % 2);
  return result;
}

int Whole::moved_network_arc(int arc, int port, int new_port) const {
  const std::vector<int> here = network_arcs(graph_, port), there = network_arcs(graph_, new_port);
  for (std::size_t i = 0; i < here.size(); ++i) {
    if (here[i] == arc) return there[i];
    if ((here[i] ^ 1) == arc) return there[i] ^ 1;
  }
  return arc;
}

DomainRing Whole::moved(const DomainRing& ring, const Domain& to) const {
  DomainRing result;
  for (const int end : ring.order) result.order.push_back(moved_vertex(end, to));
  for (const Path& hop : ring.hops) result.hops.push_back(moved(hop, to));
  if (ring.port < 0) return result;
  result.port = moved_vertex(ring.port, to);
  result.in = moved_network_arc(ring.in, ring.port, result.port);
  result.out = moved_network_arc(ring.out, ring.port, result.port);
  return result;
}

bool Whole::route(int from_switch, int to_switch, double width, Path& path) {
  path.clear();
  if (from_switch == to_switch) return true;
  for (const double least : {width, kAnything}) {
    switches_.explore(from_switch, least, Via::network);
    if (!switches_.reached(to_switch)) continue;
    path = switches_.path_to(to_switch);
    switches_.take(path, width);
    return true;
  }
  return false;
}

std::vector<double> measure(const Graph& graph, const std::vector<Way>& ways) {
  std::vector<double> load(2 * graph.edges.size(), 0);
  for (const Way& way : ways)
    for (const Path& path : way.paths)
      for (const int arc : path) load[at(arc)] += way.width;
  std::vector<double> result;
  for (const Way& way : ways) {
    double share = 1;
    for (const Path& path : way.paths)
      for (const int arc : path) share = std::min(share, graph.gbps(arc) / load[at(arc)]);
    result.push_back(way.width * share);
  }
  return result;
}

}  // namespace tutti::search
