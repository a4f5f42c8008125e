// Pairwise exchange reduce_scatter. In round k (from 1) rank r sends block r+k to its owner and receives its own block from
// r-k, which it combines at once. Each piece of a block has one place to arrive at, so a rank needs the memory of one
// block, however many ranks there are; while one piece is combined the next arrives.
//
//   ranks      0        1        2        3
//   round 1    b -> 1   c -> 2   d -> 3   a -> 0
//   round 2    c -> 2   d -> 3   a -> 0   b -> 1
//   round 3    d -> 3   a -> 0   b -> 1   c -> 2
//
// Source: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH", Int. J.
// High Performance Computing Applications 19 (2005).
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::reduce_scatter_algorithms {

Schedule pairwise(Rank me, const Shape& shape, const Chunking& chunking) {
  const Rank p = shape.ranks;
  const std::uint32_t pieces = chunking.pieces;
  Builder b(Collective::reduce_scatter, "pairwise", me, shape, pieces);
  const auto block = [&](Rank r) { return static_cast<std::uint32_t>(r) * pieces; };
  const Slice arrivals = p > 1 ? b.scratch_like(b.output(0, pieces)) : Slice{};
  for (std::uint32_t piece = 0; piece < pieces; ++piece) b.copy(b.input(block(me) + piece), b.output(piece));
  for (Rank round = 1; round < p; ++round) {
    const Rank to = ring::shift(me, round, p), from = ring::shift(me, -round, p);
    for (std::uint32_t piece = 0; piece < pieces; ++piece) {
      const Slice arrival{Buffer::scratch, arrivals.chunk + piece, 1};
      b.send(b.input(block(to) + piece), to);
      b.recv(from, arrival);
      b.reduce(arrival, b.output(piece));
    }
  }
  return std::move(b).finish();
}

Cost pairwise_cost(const Shape& shape, const Chunking& chunking) {
  const auto others = static_cast<std::uint64_t>(shape.ranks - 1), pieces = std::uint64_t{chunking.pieces};
  // A piece waits for the same piece of the round before, and for the piece before it on its stream.
  const std::uint64_t rounds = others > 0 ? others + pieces - 1 : 0;
  return flat_cost(chunking.pieces, {.rounds = rounds,
                                     .path = rounds,
                                     .sent = others * pieces,
                                     .reduced = others * pieces,
                                     .carried = carried(shape, [&](Carried& n) { n.all_pairs(pieces); }),
                                     .posted = others * pieces});
}

}  // namespace tutti::reduce_scatter_algorithms
