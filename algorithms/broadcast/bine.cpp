// Bine tree broadcast: a binomial tree whose edges are a third shorter (patterns/bine_tree.h). For networks where a way costs the
// more the longer it is, and for those with few links between groups of neighbours: fewer edges lead from one group to another.
//
//   root 0     0       1       2       3       4       5       6       7
//   round 0    | --------------------> 3
//   round 1    | ------------------------------------------------------> 7        0 and 7 are neighbours on the circle
//              |                       | ----> 4
//   round 2    | ----> 1       2 <---- 3       4 ----> 5       6 <---- 7
//
// Source: D. De Sensi et al., "Bine Trees: Enhancing Collective Operations by Optimizing Communication Locality", SC 2025.
#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/bine_tree.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/knomial_tree.h"

namespace tutti::broadcast_algorithms {

Schedule bine(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::broadcast, "bine", me, shape, 1);
  const bine_tree::Node node(me, shape.root, shape.ranks);
  const bool at_root = node.parent() == kNoRank;
  if (!at_root) b.recv(node.parent(), b.output(0));
  const Slice data = at_root ? b.input(0) : b.output(0);
  node.for_each_child([&](Rank child, Arc) { b.send(data, child); });
  if (at_root) b.copy(data, b.output(0));
  return std::move(b).finish();
}

Cost bine_cost(const Shape& shape, const Chunking&) {
  const knomial_tree::Extremes tree = knomial_tree::extremes(0, shape.ranks);
  const auto tell = [&](Carried& network) {
    bine_tree::tell(network, shape.root, shape.ranks, [](std::uint64_t) { return std::uint64_t{1}; });
  };
  return flat_cost(
      1, {.rounds = tree.depth, .path = tree.depth, .sent = tree.widest, .carried = carried(shape, tell), .posted = tree.widest});
}

}  // namespace tutti::broadcast_algorithms
