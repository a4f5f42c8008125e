// Reduce and broadcast. The vector, cut into pieces, is combined up a k-nomial tree (patterns/knomial_tree.h) to rank 0 and sent
// down the same tree. Subtrees are contiguous ranges of ranks, so the operator need not commute.
//
//   4 ranks, k=2  0               up:   b -> 0, d -> 2, then cd -> 0
//               1   2             down: abcd -> 1, abcd -> 2, then abcd -> 3
//                     3
//
// Source: R. Rabenseifner, "Optimization of Collective Reduction Operations", ICCS 2004 (its "binary tree" baseline).
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/knomial_tree.h"
#include "algorithms/reduce/reduce.h"

namespace tutti::all_reduce_algorithms {

Schedule reduce_broadcast(Rank me, const Shape& shape, const Chunking& chunking) {
  const Shape inner{.ranks = shape.ranks};
  Builder b(Collective::all_reduce, "reduce_broadcast", me, shape, chunking.pieces);
  const Chunking whole{.radix = chunking.radix};
  const Schedule up = reduce_algorithms::knomial(me, inner, whole), down = broadcast_algorithms::knomial(me, inner, whole);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    embed(b, up, same_rank, {b.input(piece)}, {b.output(piece)});
    embed(b, down, same_rank, {b.output(piece)}, {b.output(piece)});
  }
  return std::move(b).finish();
}

Cost reduce_broadcast_cost(const Shape& shape, const Chunking& chunking) {
  const auto tree = knomial_tree::extremes(0, shape.ranks, static_cast<Rank>(chunking.radix));
  const std::uint64_t pieces = chunking.pieces, rounds = tree.depth > 0 ? 2 * tree.depth + pieces - 1 : 0;
  const auto tell = [&](Carried& network) {
    const auto radix = static_cast<Rank>(chunking.radix);
    for (Rank r = 0; r < shape.ranks; ++r)
      if (const Rank parent = knomial_tree::find(r, 0, shape.ranks, radix).parent; parent != kNoRank)
        network.exchange(parent, r, pieces);
  };
  return flat_cost(chunking.pieces, {.rounds = rounds,
                                     .path = rounds,
                                     .sent = tree.widest * pieces,
                                     .reduced = tree.widest * pieces,
                                     .carried = carried(shape, tell),
                                     .posted = tree.widest * pieces});
}

}  // namespace tutti::all_reduce_algorithms
