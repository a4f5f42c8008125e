// Direct barrier: every rank tells all others at once that it has entered. A single round, with p-1 messages of each rank; where
// ranks publish, with one.
//
//   ranks      0             1             2             3
//   tells      1 2 3         2 3 0         3 0 1         0 1 2
//
// Source: the all-to-all barrier of the textbooks, the "central" one of J. Mellor-Crummey and M. Scott, "Algorithms for Scalable
// Synchronization on Shared-Memory Multiprocessors" (1991), with a flag for each rank in place of its counter.
#include "algorithms/barrier/barrier.h"
#include "algorithms/patterns/combine.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"

namespace tutti::barrier_algorithms {

Schedule direct(Rank me, const Shape& shape, const Chunking&) {
  const Rank p = shape.ranks;
  Builder b(Collective::barrier, "direct", me, shape, 1);
  std::vector<Slice> heard(static_cast<std::size_t>(p), b.input(0));
  for (Rank distance = 1; distance < p; ++distance) {
    const Rank from = ring::shift(me, -distance, p);
    Slice& arrival = heard[static_cast<std::size_t>(from)];
    arrival = b.scratch_like(b.output(0));
    b.send(b.input(0), ring::shift(me, distance, p));
    b.recv(from, arrival);
  }
  combine_in_rank_order(b, heard, static_cast<std::size_t>(me), b.output(0));
  return std::move(b).finish();
}

Cost direct_cost(const Shape& shape, const Chunking&) {
  const auto others = static_cast<std::uint64_t>(shape.ranks - 1);
  const std::uint64_t once = others > 0 ? 1 : 0;
  return flat_cost(1, {.rounds = once, .path = once, .sent = others, .reduced = others, .published = once, .taken = others});
}

}  // namespace tutti::barrier_algorithms
