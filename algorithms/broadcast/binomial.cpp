// Binomial broadcast: the data goes down a halving tree (patterns/halving_tree.h). Whoever has the data sends it to the first
// rank of the half it has still to serve, and so on with halves of halves: the number of ranks that have it doubles.
//
//   root 0     0          1          2          3
//              | ------------------> 2
//              | -------> 1          | -------> 3
//
// Source: E. Chan, M. Heimlich, A. Purkayastha, R. van de Geijn, "Collective communication: theory, practice, and
// experience", Concurrency and Computation: Practice and Experience 19 (2007).
#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/halving_tree.h"

namespace tutti::broadcast_algorithms {

Schedule binomial(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::broadcast, "binomial", me, shape, 1);
  const halving_tree::Node node = halving_tree::find(me, shape.root, shape.ranks);
  const bool at_root = node.parent == kNoRank;
  if (!at_root) b.recv(node.parent, b.output(0));
  const Slice data = at_root ? b.input(0) : b.output(0);
  halving_tree::for_each_child(node, [&](const halving_tree::Group& child) { b.send(data, child.root); });
  if (at_root) b.copy(data, b.output(0));
  return std::move(b).finish();
}

Cost binomial_cost(const Shape& shape, const Chunking&) {
  const std::uint64_t depth = halving_tree::depth(shape.root, shape.ranks);
  return flat_cost(1, {.rounds = depth, .path = depth, .sent = halving_tree::widest(shape.root, shape.ranks)});
}

}  // namespace tutti::broadcast_algorithms
