// K-nomial scatter: blocks go down a tree of ranges (patterns/knomial_tree.h), in which the ranks below a rank are a range. A
// rank receives the blocks of its range as one message and hands each child the child's part, the largest first.
//
//   root 0     0          1          2          3
//              | -------- cd ------> 2
//              | -- b --> 1          | -- d --> 3
//
// Source: E. Chan, M. Heimlich, A. Purkayastha, R. van de Geijn, "Collective communication: theory, practice, and
// experience", Concurrency and Computation: Practice and Experience 19 (2007), for k = 2, which is drawn.
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/knomial_tree.h"
#include "algorithms/scatter/scatter.h"

namespace tutti::scatter_algorithms {

Schedule knomial(Rank me, const Shape& shape, const Chunking& chunking) {
  Builder b(Collective::scatter, "knomial", me, shape, 1);
  const knomial_tree::Node node = knomial_tree::find(me, shape.root, shape.ranks, static_cast<Rank>(chunking.radix));
  if (node.below.size == 1 && node.parent != kNoRank) {  // a leaf has nothing to hand on
    b.recv(node.parent, b.output(0));
    return std::move(b).finish();
  }
  const Slice range{Buffer::input, static_cast<std::uint32_t>(node.below.first), static_cast<std::uint32_t>(node.below.size)};
  const Slice held = node.parent == kNoRank ? range : b.scratch_like(range);
  const auto place = [&](Rank first, Rank size) {
    return Slice{held.buffer, held.chunk + static_cast<std::uint32_t>(first - node.below.first),
                 static_cast<std::uint32_t>(size)};
  };
  if (node.parent != kNoRank) b.recv(node.parent, held);
  knomial_tree::for_each_child(node,
                               [&](const knomial_tree::Group& child) { b.send(place(child.first, child.size), child.root); });
  b.copy(place(me, 1), b.output(0));
  return std::move(b).finish();
}

Cost knomial_cost(const Shape& shape, const Chunking& chunking) {
  const knomial_tree::Extremes tree = knomial_tree::extremes(shape.root, shape.ranks, static_cast<Rank>(chunking.radix));
  const auto tell = [&](Carried& network) {
    knomial_tree::tell(network, shape.root, shape.ranks, static_cast<Rank>(chunking.radix),
                       [](std::uint64_t below) { return below; });
  };
  return flat_cost(1, {.rounds = tree.depth,
                       .path = tree.heaviest,
                       .sent = static_cast<std::uint64_t>(shape.ranks - 1),
                       .carried = carried(shape, tell),
                       .posted = tree.widest});
}

}  // namespace tutti::scatter_algorithms
