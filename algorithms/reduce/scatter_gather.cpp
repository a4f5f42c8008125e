// Scatter-gather reduce (Rabenseifner's), for any radix. The vector has one chunk per rank. A recursive halving reduce_scatter
// leaves chunk r, combined, at rank r; a k-nomial gather brings all chunks to the root.
//
//   k = 2      0              1              2              3
//   round 0    cd -> 2        cd -> 3        ab -> 0        ab -> 1
//   round 1    b02 -> 1       a13 -> 0       d02 -> 3       c13 -> 2
//   round 2    A <----------- B              C <----------- D
//   round 3    AB <------------------------- CD                            root 0
//
// About two vectors in all and a logarithmic number of rounds: for large vectors, where a tree moves log(p) of them. Between two
// ranks a tree moves one, and this algorithm half as much again.
// Source: R. Rabenseifner, "Optimization of Collective Reduction Operations", ICCS 2004.
#include "algorithms/gather/gather.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/reduce/reduce.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::reduce_algorithms {

Schedule scatter_gather(Rank me, const Shape& shape, const Chunking& chunking) {
  const auto chunks = static_cast<std::uint32_t>(shape.ranks), own_chunk = static_cast<std::uint32_t>(me);
  const Shape inner{.ranks = shape.ranks, .root = shape.root};
  Builder b(Collective::reduce, "scatter_gather", me, shape, chunks);
  const Slice own = me == shape.root ? b.output(own_chunk) : b.scratch_like(b.input(own_chunk));
  embed(b, reduce_scatter_algorithms::recursive_halving(me, inner, chunking), same_rank, {b.input(0, chunks)}, {own});
  embed(b, gather_algorithms::knomial(me, inner, chunking), same_rank, {own}, {b.output(0, chunks)});
  return std::move(b).finish();
}

Cost scatter_gather_cost(const Shape& shape, const Chunking& chunking) {
  const Shape inner{.ranks = shape.ranks, .root = shape.root, .torus = shape.torus, .pod = shape.pod};
  const LevelCost scatter = reduce_scatter_algorithms::recursive_halving_cost(inner, chunking).levels.front();
  const Cost to_root = gather_algorithms::knomial_cost(inner, chunking);
  const LevelCost gather = to_root.levels.front();
  Cost cost = flat_cost(static_cast<std::uint32_t>(shape.ranks), {.rounds = std::uint64_t{scatter.rounds} + gather.rounds,
                                                                  .path = scatter.path + gather.path,
                                                                  .sent = scatter.sent + gather.sent,
                                                                  .reduced = scatter.reduced,
                                                                  .carried = scatter.carried + gather.carried,
                                                                  .taken = scatter.reduced + to_root.taken,
                                                                  .posted = scatter.posted + gather.posted});
  cost.exact = false;  // the heaviest chains and the busiest ranks of the two halves need not be the same
  return cost;
}

}  // namespace tutti::reduce_algorithms
