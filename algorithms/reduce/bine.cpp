// Bine tree reduce: up a binomial tree whose edges are a third shorter (patterns/bine_tree.h), near to far. What a rank combines
// are arcs on the circle of ranks on both of its sides, so the operator must be commutative.
//
//   root 0     0       1       2       3       4       5       6       7
//   round 0    | <---- 1       2 ----> 3       4 <---- 5       6 ----> 7
//   round 1    | <------------------------------------------------------ 7        0 and 7 are neighbours on the circle
//              |                       | <---- 4
//   round 2    | <-------------------- 3
//
// Source: D. De Sensi et al., "Bine Trees: Enhancing Collective Operations by Optimizing Communication Locality", SC 2025.
#include <vector>

#include "algorithms/patterns/bine_tree.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/knomial_tree.h"
#include "algorithms/reduce/reduce.h"

namespace tutti::reduce_algorithms {

Schedule bine(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::reduce, "bine", me, shape, 1);
  const bine_tree::Node node(me, shape.root, shape.ranks);
  const bool at_root = node.parent() == kNoRank;
  if (node.below().size == 1 && !at_root) {  // a leaf has nothing to combine
    b.send(b.input(0), node.parent());
    return std::move(b).finish();
  }
  std::vector<Rank> children;
  node.for_each_child([&](Rank child, Arc) { children.push_back(child); });
  const Slice sum = at_root ? b.output(0) : b.scratch_like(b.input(0));
  b.copy(b.input(0), sum);
  for (auto child = children.rbegin(); child != children.rend(); ++child) {
    const Slice arrival = b.scratch_like(b.input(0));
    b.recv(*child, arrival);
    b.reduce(arrival, sum);
  }
  if (!at_root) b.send(sum, node.parent());
  return std::move(b).finish();
}

Cost bine_cost(const Shape& shape, const Chunking&) {
  const knomial_tree::Extremes tree = knomial_tree::extremes(0, shape.ranks);
  const auto tell = [&](Carried& network) {
    bine_tree::tell(network, shape.root, shape.ranks, [](std::uint64_t) { return std::uint64_t{1}; });
  };
  return flat_cost(1, {.rounds = tree.depth,
                       .path = tree.depth,
                       .sent = shape.ranks > 1 ? 1U : 0U,
                       .reduced = tree.widest,
                       .carried = carried(shape, tell),
                       .taken = tree.widest,
                       .posted = tree.widest});
}

}  // namespace tutti::reduce_algorithms
