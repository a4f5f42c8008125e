// Direct all_gather. Every rank sends its block to every other, all at once: a single round, and nothing passes through a
// third rank. Rank i begins with i+1, so that not everybody begins with rank 0.
//
//   ranks     0               1               2               3
//             a -> 1,2,3      b -> 2,3,0      c -> 3,0,1      d -> 0,1,2
//
// Source: folklore; "linear" or "spread-out" in R. Thakur, R. Rabenseifner, W. Gropp (2005).
#include "algorithms/all_gather/all_gather.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"

namespace tutti::all_gather_algorithms {

Schedule direct(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::all_gather, "direct", me, shape, 1);
  for (Rank distance = 1; distance < shape.ranks; ++distance) b.send(b.input(0), ring::shift(me, distance, shape.ranks));
  b.copy(b.input(0), b.output(static_cast<std::uint32_t>(me)));  // while others' blocks are under way
  for (Rank distance = 1; distance < shape.ranks; ++distance) {
    const Rank source = ring::shift(me, -distance, shape.ranks);
    b.recv(source, b.output(static_cast<std::uint32_t>(source)));
  }
  return std::move(b).finish();
}

Cost direct_cost(const Shape& shape, const Chunking&) {
  const auto peers = static_cast<std::uint64_t>(shape.ranks - 1);
  const std::uint64_t once = peers > 0 ? 1 : 0;
  return flat_cost(1, {.rounds = once,
                       .path = once,
                       .sent = peers,
                       .carried = carried(shape, [&](Carried& n) { n.all_pairs(1); }),
                       .published = once,
                       .taken = peers,
                       .posted = peers});
}

}  // namespace tutti::all_gather_algorithms
