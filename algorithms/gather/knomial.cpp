// K-nomial gather: blocks go up a tree of ranges (patterns/knomial_tree.h), in which the ranks below a rank are a range. A
// rank collects the blocks of its range, in scratch unless it is the root, and sends them to its parent as one message.
//
//   root 0     0          1          2          3
//              |<-- b --- 1          |<-- d --- 3
//              |<--------- cd ------ 2
//
// Source: E. Chan, M. Heimlich, A. Purkayastha, R. van de Geijn, "Collective communication: theory, practice, and
// experience", Concurrency and Computation: Practice and Experience 19 (2007), for k = 2, which is drawn.
#include "algorithms/gather/gather.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/knomial_tree.h"

namespace tutti::gather_algorithms {

Schedule knomial(Rank me, const Shape& shape, const Chunking& chunking) {
  Builder b(Collective::gather, "knomial", me, shape, 1);
  const knomial_tree::Node node = knomial_tree::find(me, shape.root, shape.ranks, static_cast<Rank>(chunking.radix));
  if (node.below.size == 1 && node.parent != kNoRank) {  // a leaf has nothing to collect
    b.send(b.input(0), node.parent);
    return std::move(b).finish();
  }
  const Slice range{Buffer::output, static_cast<std::uint32_t>(node.below.first), static_cast<std::uint32_t>(node.below.size)};
  const Slice held = node.parent == kNoRank ? range : b.scratch_like(range);
  const auto place = [&](Rank first, Rank size) {
    return Slice{held.buffer, held.chunk + static_cast<std::uint32_t>(first - node.below.first),
                 static_cast<std::uint32_t>(size)};
  };
  b.copy(b.input(0), place(me, 1));
  knomial_tree::for_each_child(node,
                               [&](const knomial_tree::Group& child) { b.recv(child.root, place(child.first, child.size)); });
  if (node.parent != kNoRank) b.send(held, node.parent);
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
                       .sent = tree.largest,
                       .carried = carried(shape, tell),
                       .taken = static_cast<std::uint64_t>(shape.ranks - 1),
                       .posted = tree.widest});
}

}  // namespace tutti::gather_algorithms
