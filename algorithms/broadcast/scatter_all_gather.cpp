// Scatter + all_gather broadcast (van de Geijn): no rank sends the whole data more than about twice, however many there are.
// The data is cut into p parts. They are scattered down a binomial tree (patterns/knomial_tree.h), in which the ranks below a
// rank are a range, and so are their parts; then a ring all_gather brings every part everywhere. A part may be cut into
// pieces, which the ring passes on one by one.
//
//   root 0      0          1          2          3
//   scatter     | -------- cd ------> 2
//               | -- b --> 1          | -- d --> 3
//   ring        a -> 1     b -> 2     c -> 3     d -> 0        and so on, p-1 times
//
// Source: M. Barnett, L. Shuler, R. van de Geijn, S. Gupta, D. Payne, J. Watts, "Interprocessor collective communication
// library (InterCom)", Scalable High Performance Computing Conference 1994.
#include "algorithms/all_gather/all_gather.h"
#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/knomial_tree.h"

namespace tutti::broadcast_algorithms {

Schedule scatter_all_gather(Rank me, const Shape& shape, const Chunking& chunking) {
  const std::uint32_t pieces = chunking.pieces, chunks = static_cast<std::uint32_t>(shape.ranks) * pieces;
  Builder b(Collective::broadcast, "scatter_all_gather", me, shape, chunks);
  const knomial_tree::Node node = knomial_tree::find(me, shape.root, shape.ranks);
  const bool at_root = node.parent == kNoRank;
  // Parts go straight to where they belong in the output; the root sends them from its input.
  const auto parts = [&](Rank first, Rank size) {
    const auto begin = static_cast<std::uint32_t>(first) * pieces, count = static_cast<std::uint32_t>(size) * pieces;
    return at_root ? b.input(begin, count) : b.output(begin, count);
  };
  if (!at_root) b.recv(node.parent, parts(node.below.first, node.below.size));
  knomial_tree::for_each_child(node,
                               [&](const knomial_tree::Group& child) { b.send(parts(child.first, child.size), child.root); });

  const Shape flat{.ranks = shape.ranks};
  embed(b, all_gather_algorithms::ring(me, flat, chunking), same_rank, {parts(me, 1)}, {b.output(0, chunks)});
  return std::move(b).finish();
}

Cost scatter_all_gather_cost(const Shape& shape, const Chunking& chunking) {
  const std::uint64_t pieces = chunking.pieces, others = static_cast<std::uint64_t>(shape.ranks - 1);
  const auto tell = [&](Carried& network) {
    knomial_tree::tell(network, shape.root, shape.ranks, 2, [&](std::uint64_t below) { return below * pieces; });
    network.shift(1, others * pieces);
  };
  const knomial_tree::Extremes tree = knomial_tree::extremes(shape.root, shape.ranks);
  return flat_cost(static_cast<std::uint32_t>(shape.ranks) * chunking.pieces, {.rounds = tree.depth + others * pieces,
                                                                               .path = (tree.heaviest + others) * pieces,
                                                                               .sent = 2 * others * pieces,
                                                                               .carried = carried(shape, tell),
                                                                               .posted = tree.widest + others * pieces});
}

}  // namespace tutti::broadcast_algorithms
