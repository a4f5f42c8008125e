// Ring all_reduce. The vector has one block per rank, each cut into pieces. A ring reduce_scatter leaves block r, combined, at
// rank r; a ring all_gather then brings all blocks to everybody. Both run to the right round the same circle, and pieces
// keep every link busy: a rank passes on the first piece of a block while the next still arrives.
//
//   ranks     0             1             2             3
//   step 0    d0 -> 1       a1 -> 2       b2 -> 3       c3 -> 0
//   step 1    c30 -> 1      d01 -> 2      a12 -> 3      b23 -> 0
//   step 2    b230 -> 1     c301 -> 2     d012 -> 3     a123 -> 0       then rank 0 has all of a, 1 of b, ...
//   step 3    A -> 1        B -> 2        C -> 3        D -> 0
//   step 4    D -> 1        A -> 2        B -> 3        C -> 0
//   step 5    C -> 1        D -> 2        A -> 3        B -> 0
//
// Each rank sends 2(p-1)/p of the vector: no algorithm sends less. Latency grows with p.
// Source: P. Patarasuk, X. Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", J. Parallel and
// Distributed Computing 69 (2009).
#include "algorithms/patterns/ring.h"

#include "algorithms/all_gather/all_gather.h"
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::all_reduce_algorithms {

Schedule ring(Rank me, const Shape& shape, const Chunking& chunking) {
  const auto p = static_cast<std::uint32_t>(shape.ranks), pieces = chunking.pieces;
  const Shape inner{.ranks = shape.ranks};
  Builder b(Collective::all_reduce, "ring", me, shape, p * pieces);
  const Slice own = b.output(static_cast<std::uint32_t>(me) * pieces, pieces);
  embed(b, reduce_scatter_algorithms::ring(me, inner, chunking), same_rank, {b.input(0, p * pieces)}, {own});
  embed(b, all_gather_algorithms::ring(me, inner, chunking), same_rank, {own}, {b.output(0, p * pieces)});
  return std::move(b).finish();
}

Cost ring_cost(const Shape& shape, const Chunking& chunking) {
  const auto p = static_cast<std::uint64_t>(shape.ranks);
  const std::uint64_t half = (p - 1) * chunking.pieces;
  const auto tell = [&](Carried& network) { network.shift(1, 2 * half); };
  return flat_cost(static_cast<std::uint32_t>(p) * chunking.pieces, {.rounds = 2 * half,
                                                                     .path = 2 * half,
                                                                     .sent = 2 * half,
                                                                     .reduced = half,
                                                                     .carried = carried(shape, tell),
                                                                     .leaving = ring::leaving(shape, 2 * half),
                                                                     .posted = 2 * half});
}

}  // namespace tutti::all_reduce_algorithms
