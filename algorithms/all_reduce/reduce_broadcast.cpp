// Reduce and broadcast. The vector, cut into pieces, is combined up a binomial tree to rank 0 and sent down the same tree.
// Subtrees are contiguous ranges of ranks, so the operator need not commute.
//
//   4 ranks       0               up:   b -> 0, d -> 2, then cd -> 0
//               1   2             down: abcd -> 1, abcd -> 2, then abcd -> 3
//                     3
//
// Source: R. Rabenseifner, "Optimization of Collective Reduction Operations", ICCS 2004 (its "binary tree" baseline).
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/binomial.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/reduce/reduce.h"

namespace tutti::all_reduce_algorithms {

Schedule reduce_broadcast(Rank me, const Shape& shape, const Chunking& chunking) {
  const Shape inner{.ranks = shape.ranks};
  Builder b(Collective::all_reduce, "reduce_broadcast", me, shape, chunking.pieces);
  const Schedule up = reduce_algorithms::binomial(me, inner, {}), down = broadcast_algorithms::knomial(me, inner, {});
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    embed(b, up, same_rank, {b.input(piece)}, {b.output(piece)});
    embed(b, down, same_rank, {b.output(piece)}, {b.output(piece)});
  }
  return std::move(b).finish();
}

Cost reduce_broadcast_cost(const Shape& shape, const Chunking& chunking) {
  const auto depth = static_cast<std::uint64_t>(binomial::depth(shape.ranks)), pieces = std::uint64_t{chunking.pieces};
  const auto children = static_cast<std::uint64_t>(binomial::children(0, shape.ranks));  // no rank has more
  const std::uint64_t rounds = depth > 0 ? 2 * depth + pieces - 1 : 0;
  return flat_cost(chunking.pieces, {.rounds = rounds, .path = rounds, .sent = children * pieces, .reduced = children * pieces});
}

}  // namespace tutti::all_reduce_algorithms
