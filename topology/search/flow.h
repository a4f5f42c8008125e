// What a graph can carry at most, whoever searches: bounds that found rings and trees are compared with.
//
// Nothing can be broadcast faster than the smallest of the maximum flows from the root to each other end, and with trees that
// is reached where only ends are joined (J. Edmonds, "Edge-disjoint branchings", 1973). Links being alike in both directions,
// it is also the least cut between any two ends, which a ring crosses in both directions.
#pragma once

#include <cstdint>
#include <vector>

#include "topology/search/graph.h"

namespace tutti::search {

// A network of directed arcs with capacities, for maximum flows (E. A. Dinic, "Algorithm for solution of a problem of maximum
// flow in networks with power estimation", 1970).
class FlowNetwork {
 public:
  explicit FlowNetwork(int vertices) : arcs_(static_cast<std::size_t>(vertices)) {}
  // Returns a number by which the arc's capacity can be changed.
  int add(int from, int to, double capacity, double back = 0);
  void set(int arc, double capacity) { capacity_[static_cast<std::size_t>(arc)] = capacity; }
  [[nodiscard]] double capacity(int arc) const { return capacity_[static_cast<std::size_t>(arc)]; }

  // Stops where it has found `enough`.
  [[nodiscard]] double max_flow(int from, int to, double enough);
  // After max_flow(): whether the vertex is on the source's side of the least cut.
  [[nodiscard]] bool on_source_side(int vertex) const { return depth_[static_cast<std::size_t>(vertex)] >= 0; }

  [[nodiscard]] std::uint64_t steps() const { return steps_; }  // arcs looked at

 private:
  bool measure_depths(int from, int to);
  double push(int vertex, int to, double most);

  std::vector<std::vector<Arc>> arcs_;
  std::vector<double> capacity_, left_;
  std::vector<int> depth_;
  std::vector<std::size_t> next_;
  std::uint64_t steps_ = 0;
};

struct Bound {
  double gbps = 0;  // infinite where there is but one end
  std::uint64_t steps = 0;
};

// From the root to the end that is hardest to reach. Of ends that are alike one is tried.
[[nodiscard]] Bound broadcast_bound(const Graph& graph, const std::vector<Domain>& domains, int root);

// Of a domain, as many rings as its links allow if a ring might be several circles: every end sends and receives once, past no
// other end. In a job of several domains the network is one end more.
[[nodiscard]] Bound circles_bound(const Graph& graph, const Domain& domain, bool with_network);

}  // namespace tutti::search
