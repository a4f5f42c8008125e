// Ring all_gather. A block is what one rank contributes, cut into pieces so that a rank can pass on the first piece of a
// block while the next still arrives. Blocks travel to the right: in step s a rank hands over the block that came to it in
// step s-1 (in step 0 its own), so after p-1 steps everybody has seen them all. All links carry the same, at any time.
//
//   ranks     0          1          2          3
//   step 0    a -> 1     b -> 2     c -> 3     d -> 0
//   step 1    d -> 1     a -> 2     b -> 3     c -> 0
//   step 2    c -> 1     d -> 2     a -> 3     b -> 0
//
// Source: E. Chan, M. Heimlich, A. Purkayastha, R. van de Geijn, "Collective communication: theory, practice, and
// experience", Concurrency and Computation: Practice and Experience 19 (2007), the bucket algorithm.
#include "algorithms/patterns/ring.h"

#include "algorithms/all_gather/all_gather.h"
#include "algorithms/patterns/flat_cost.h"

namespace tutti::all_gather_algorithms {

Schedule ring(Rank me, const Shape& shape, const Chunking& chunking) {
  const Rank p = shape.ranks;
  const std::uint32_t pieces = chunking.pieces;
  Builder b(Collective::all_gather, "ring", me, shape, pieces);
  const auto first_chunk = [&](Rank steps_left) { return static_cast<std::uint32_t>(ring::shift(me, -steps_left, p)) * pieces; };

  b.copy(b.input(0, pieces), b.output(first_chunk(0), pieces));
  for (Rank step = 0; step + 1 < p; ++step) {
    for (std::uint32_t piece = 0; piece < pieces; ++piece) {
      b.send(step == 0 ? b.input(piece) : b.output(first_chunk(step) + piece), ring::right(me, p));
      b.recv(ring::left(me, p), b.output(first_chunk(step + 1) + piece));
    }
  }
  return std::move(b).finish();
}

Cost ring_cost(const Shape& shape, const Chunking& chunking) {
  // Every link carries all pieces one after the other.
  const std::uint64_t messages = static_cast<std::uint64_t>(shape.ranks - 1) * chunking.pieces;
  const auto tell = [&](Carried& network) { network.shift(1, messages); };
  return flat_cost(chunking.pieces, {.rounds = messages,
                                     .path = messages,
                                     .sent = messages,
                                     .carried = carried(shape, tell),
                                     .leaving = ring::leaving(shape, messages),
                                     .posted = messages});
}

}  // namespace tutti::all_gather_algorithms
