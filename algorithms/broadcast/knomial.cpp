// K-nomial broadcast: the data goes down a tree of ranges (patterns/knomial_tree.h). The ranks that somebody has still to serve
// split into k parts; whoever has the data sends it to the first rank of every other part, and so on with parts of parts: the
// number of ranks that have it grows k times in each round of k-1 messages. With k = 2, a binomial tree, it doubles.
//
//   root 0     0          1          2          3
//              | ------------------> 2
//              | -------> 1          | -------> 3
//
// Source: E. Chan, M. Heimlich, A. Purkayastha, R. van de Geijn, "Collective communication: theory, practice, and
// experience", Concurrency and Computation: Practice and Experience 19 (2007), for k = 2.
#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/knomial_tree.h"

namespace tutti::broadcast_algorithms {

Schedule knomial(Rank me, const Shape& shape, const Chunking& chunking) {
  Builder b(Collective::broadcast, "knomial", me, shape, 1);
  const knomial_tree::Node node = knomial_tree::find(me, shape.root, shape.ranks, static_cast<Rank>(chunking.radix));
  const bool at_root = node.parent == kNoRank;
  if (!at_root) b.recv(node.parent, b.output(0));
  const Slice data = at_root ? b.input(0) : b.output(0);
  knomial_tree::for_each_child(node, [&](const knomial_tree::Group& child) { b.send(data, child.root); });
  if (at_root) b.copy(data, b.output(0));
  return std::move(b).finish();
}

Cost knomial_cost(const Shape& shape, const Chunking& chunking) {
  const knomial_tree::Extremes tree = knomial_tree::extremes(shape.root, shape.ranks, static_cast<Rank>(chunking.radix));
  const auto tell = [&](Carried& network) {
    knomial_tree::tell(network, shape.root, shape.ranks, static_cast<Rank>(chunking.radix),
                       [](std::uint64_t) { return std::uint64_t{1}; });
  };
  return flat_cost(
      1, {.rounds = tree.depth, .path = tree.depth, .sent = tree.widest, .carried = carried(shape, tell), .posted = tree.widest});
}

}  // namespace tutti::broadcast_algorithms
