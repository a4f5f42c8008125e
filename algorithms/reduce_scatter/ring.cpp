// Ring reduce_scatter. A block is what one rank ends up with, cut into pieces so that a rank can combine and pass on the first
// piece of a block while the next still arrives. The block of rank r starts at r's right neighbour and travels to the right
// through all ranks, each of which adds what it has, until it reaches r. All links carry the same, at any time.
//
//   ranks     0             1             2             3
//   step 0    d0 -> 1       a1 -> 2       b2 -> 3       c3 -> 0
//   step 1    c30 -> 1      d01 -> 2      a12 -> 3      b23 -> 0
//   step 2    b230 -> 1     c301 -> 2     d012 -> 3     a123 -> 0      (a123: block a, combined over ranks 1, 2, 3)
//
// Every rank combines p-1 blocks of n/p and sends as many: no algorithm sends less. Latency grows with p.
// Source: P. Patarasuk, X. Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", J. Parallel and
// Distributed Computing 69 (2009).
#include "algorithms/patterns/ring.h"

#include "algorithms/patterns/flat_cost.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::reduce_scatter_algorithms {

Schedule ring(Rank me, const Shape& shape, const Chunking& chunking) {
  const Rank p = shape.ranks;
  const std::uint32_t pieces = chunking.pieces;
  Builder b(Collective::reduce_scatter, "ring", me, shape, pieces);
  // The block that leaves in `step`; the one that arrives leaves in the step after.
  const auto block = [&](Rank step) { return static_cast<std::uint32_t>(ring::shift(me, -1 - step, p)) * pieces; };

  if (p == 1) b.copy(b.input(0, pieces), b.output(0, pieces));
  Slice partial = b.input(block(0), pieces);
  for (Rank step = 0; step + 1 < p; ++step) {
    const Slice mine = b.input(block(step + 1), pieces);
    const Slice arrivals = b.scratch_like(mine);
    const Slice sums = step + 2 < p ? b.scratch_like(mine) : b.output(0, pieces);
    for (std::uint32_t piece = 0; piece < pieces; ++piece) {
      const auto piece_of = [piece](const Slice& s) { return Slice{s.buffer, s.chunk + piece, 1}; };
      b.send(piece_of(partial), ring::right(me, p));
      b.recv(ring::left(me, p), piece_of(arrivals));
      b.copy(piece_of(mine), piece_of(sums));
      b.reduce_left(piece_of(arrivals), piece_of(sums));
    }
    partial = sums;
  }
  return std::move(b).finish();
}

Cost ring_cost(const Shape& shape, const Chunking& chunking) {
  const std::uint64_t chunks = static_cast<std::uint64_t>(shape.ranks - 1) * chunking.pieces;
  const auto tell = [&](Carried& network) { network.shift(1, chunks); };
  return flat_cost(chunking.pieces, {.rounds = chunks,
                                     .path = chunks,
                                     .sent = chunks,
                                     .reduced = chunks,
                                     .carried = carried(shape, tell),
                                     .leaving = ring::leaving(shape, chunks),
                                     .posted = chunks});
}

}  // namespace tutti::reduce_scatter_algorithms
