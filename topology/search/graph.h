// The links of a topology as a graph for searches: ends (where ranks sit), switches, packages, NICs, network switches.
//
// Every edge carries its bandwidth in both directions at once, so an edge is two arcs. What lies inside a package (NUMA nodes,
// caches) is one vertex: its memory is not what limits a transfer between devices. Each pair of packages of a host is joined.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "topology/gpus.h"
#include "tutti/topology.h"

namespace tutti::search {

struct Edge {
  int a = 0, b = 0;
  double gbps = 0;
  LinkKind kind = LinkKind::pcie;
  double latency_us = 0;             // where somebody says
  Origin origin = Origin::estimate;  // of the bandwidth
};

// Arc 2e leads along edge e from a to b, arc 2e + 1 back.
struct Arc {
  int id = 0, to = 0;
};

struct Graph {
  std::vector<NodeId> nodes;    // of vertices, ascending
  std::vector<NodeKind> kinds;  // of vertices
  std::vector<int> vertex_of;   // of nodes; -1 for those that are in no vertex
  std::vector<Edge> edges;
  std::vector<std::vector<Arc>> arcs;  // from each vertex
  std::vector<int> ends;               // the vertex of each rank
  std::vector<int> rank_of;            // of vertices; -1 where no rank sits
  std::vector<int> domain_of;          // of vertices; -1: a network switch
  int domains = 0;

  [[nodiscard]] int from(int arc) const { return arc % 2 == 0 ? edges[edge(arc)].a : edges[edge(arc)].b; }
  [[nodiscard]] int to(int arc) const { return from(arc ^ 1); }
  [[nodiscard]] double gbps(int arc) const { return edges[edge(arc)].gbps; }
  [[nodiscard]] LinkKind kind(int arc) const { return edges[edge(arc)].kind; }
  [[nodiscard]] bool is_end(int vertex) const { return rank_of[static_cast<std::size_t>(vertex)] >= 0; }

 private:
  static std::size_t edge(int arc) { return static_cast<std::size_t>(arc / 2); }
};

// A domain: hosts that are joined by more than the network, nearly always one host.
struct Domain {
  std::vector<int> vertices, ends;  // ascending; in the order of ranks
  std::vector<int> edges;           // inside of it, ascending
  std::vector<int> ports;           // vertices with a link to a network switch, ascending
  // NVLink or xGMI joins all ends: then nothing between ends goes another way.
  bool linked = false;
  int alike = 0;  // the first domain that looks the same, vertex by vertex and edge by edge
};

// GPUs that are no ends are left out: they forward nothing. Bandwidths that are not known are estimates (search/estimates.h).
[[nodiscard]] Graph make_graph(const Topology& topology, std::span<const NodeId> ends);
[[nodiscard]] std::vector<Domain> domains(const Graph& graph);

// Without what cannot carry anything between ends: in a single domain that is linked all but those links, and the network.
void prune(Graph& graph, const std::vector<Domain>& domains);

}  // namespace tutti::search
