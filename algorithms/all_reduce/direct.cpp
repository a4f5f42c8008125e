// Direct ("one-shot") all_reduce. Every rank sends its whole input to every other one, piece by piece, beginning with its right
// neighbour so that not all talk to the same rank at once. Each combines everything itself, in rank order, in one pass over
// memory: the order is the same everywhere, so the bits are.
//
//   ranks      0             1             2             3
//   sends      a -> 1 2 3    b -> 2 3 0    c -> 3 0 1    d -> 0 1 2
//   combines   a b c d       a b c d       a b c d       a b c d
//
// A single round: the fastest way for small inputs and few ranks. Each rank sends p-1 times its input.
// Source: the one-shot all-pairs kernel described in A. Shah et al., "MSCCL++: Rethinking GPU Communication Abstractions for
// Cutting-edge AI Applications" (2025); the all-to-all broadcast with local reduction of the textbooks.
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/combine.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"

namespace tutti::all_reduce_algorithms {

Schedule direct(Rank me, const Shape& shape, const Chunking& chunking) {
  const Rank p = shape.ranks;
  Builder b(Collective::all_reduce, "direct", me, shape, chunking.pieces);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    std::vector<Slice> parts(static_cast<std::size_t>(p), b.input(piece));
    for (Rank distance = 1; distance < p; ++distance) {
      const Rank from = ring::shift(me, -distance, p);
      Slice& part = parts[static_cast<std::size_t>(from)];
      part = b.scratch_like(b.output(piece));
      b.send(b.input(piece), ring::shift(me, distance, p));
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
                                     .published = stream,
                                     .taken = sent,
                                     .posted = sent});
}

}  // namespace tutti::all_reduce_algorithms
