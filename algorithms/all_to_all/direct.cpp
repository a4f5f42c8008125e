// Direct all_to_all: every rank posts all its sends and receives at once and lets the network sort them out. Rank i begins
// with i+1, so that not everybody begins with rank 0.
//
//   ranks     0               1               2               3
//             -> 1,2,3        -> 2,3,0        -> 3,0,1        -> 0,1,2
//
// Source: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH", Int. J.
// High Performance Computing Applications 19 (2005), for medium sizes.
#include "algorithms/all_to_all/all_to_all.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/peers.h"
#include "algorithms/patterns/ring.h"

namespace tutti::all_to_all_algorithms {

Schedule direct(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::all_to_all, "direct", me, shape, 1);
  for (Rank distance = 1; distance < shape.ranks; ++distance) {
    const Rank to = ring::shift(me, distance, shape.ranks), from = ring::shift(me, -distance, shape.ranks);
    b.send(b.input(static_cast<std::uint32_t>(to)), to);
    b.recv(from, b.output(static_cast<std::uint32_t>(from)));
  }
  b.copy(b.input(static_cast<std::uint32_t>(me)), b.output(static_cast<std::uint32_t>(me)));
  return std::move(b).finish();
}

Cost direct_cost(const Shape& shape, const Chunking&) {
  const auto others = static_cast<std::uint64_t>(shape.ranks - 1);
  const std::uint64_t once = others > 0 ? 1 : 0;
  Cost cost = flat_cost(1, {.rounds = once,
                            .path = once,
                            .sent = others,
                            .carried = carried(shape, [&](Carried& n) { n.all_pairs(1); }),
                            .published = others,
                            .taken = others,
                            .posted = others});
  cost.levels.front().leaving = peers::leaving(shape);
  return cost;
}

}  // namespace tutti::all_to_all_algorithms
