// Direct reduce_scatter. A block is what one rank ends up with, cut into pieces. Every rank sends each block straight to its
// owner, piece by piece, beginning with its right neighbour so that not all talk to the same rank at once; the owner
// combines what arrives with its own block, in rank order and in one pass over memory.
//
//   ranks      0             1             2             3
//   sends      1b 2c 3d      2c 3d 0a      3d 0a 1b      0a 1b 2c       (to whom, which block)
//   combines   a of 0..3     b of 0..3     c of 0..3     d of 0..3
//
// One round, p-1 messages per rank: for few ranks that all reach each other, such as those of one machine.
// Source: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH", Int. J.
// High Performance Computing Applications 19 (2005).
#include "algorithms/patterns/combine.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::reduce_scatter_algorithms {

Schedule direct(Rank me, const Shape& shape, const Chunking& chunking) {
  const Rank p = shape.ranks;
  const std::uint32_t pieces = chunking.pieces;
  Builder b(Collective::reduce_scatter, "direct", me, shape, pieces);
  for (std::uint32_t piece = 0; piece < pieces; ++piece) {
    std::vector<Slice> parts(static_cast<std::size_t>(p), b.input(static_cast<std::uint32_t>(me) * pieces + piece));
    for (Rank distance = 1; distance < p; ++distance) {
      const Rank to = ring::shift(me, distance, p), from = ring::shift(me, -distance, p);
      Slice& part = parts[static_cast<std::size_t>(from)];
      part = b.scratch_like(b.output(piece));
      b.send(b.input(static_cast<std::uint32_t>(to) * pieces + piece), to);
      b.recv(from, part);
    }
    combine_in_rank_order(b, parts, static_cast<std::size_t>(me), b.output(piece));
  }
  return std::move(b).finish();
}

Cost direct_cost(const Shape& shape, const Chunking& chunking) {
  const auto others = static_cast<std::uint64_t>(shape.ranks - 1), pieces = std::uint64_t{chunking.pieces};
  const std::uint64_t stream = others > 0 ? pieces : 0;
  const std::uint64_t sent = others * pieces;
  return flat_cost(chunking.pieces, {.rounds = stream,
                                     .path = stream,
                                     .sent = sent,
                                     .reduced = sent,
                                     .carried = carried(shape, [&](Carried& n) { n.all_pairs(pieces); }),
                                     .published = sent,
                                     .taken = sent,
                                     .posted = sent});
}

}  // namespace tutti::reduce_scatter_algorithms
