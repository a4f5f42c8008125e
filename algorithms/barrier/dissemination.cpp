// Dissemination barrier. Having heard of a rank means knowing that it has entered the barrier. In round k (from 0) every
// rank tells the one 2^k further on what it has heard of, so what a rank has heard of doubles: after ceil(log2 p) rounds it
// is everybody. With p no power of two some are heard of twice, which does no harm.
//
//   ranks        0       1       2       3
//   round 0      0->1    1->2    2->3    3->0      each has heard of 2
//   round 1      0->2    1->3    2->0    3->1      each has heard of 4
//
// Source: D. Hensgen, R. Finkel, U. Manber, "Two Algorithms for Barrier Synchronization", Int. J. Parallel Programming 17
// (1988).
#include "algorithms/barrier/barrier.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/logarithm.h"
#include "algorithms/patterns/ring.h"

namespace tutti::barrier_algorithms {

Schedule dissemination(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::barrier, "dissemination", me, shape, 1);
  Slice heard = b.input(0);
  for (Rank distance = 1; distance < shape.ranks; distance *= 2) {
    const Slice arrival = b.scratch_like(b.output(0));
    const Slice all = distance * 2 < shape.ranks ? b.scratch_like(b.output(0)) : b.output(0);
    b.send(heard, ring::shift(me, distance, shape.ranks));
    b.recv(ring::shift(me, -distance, shape.ranks), arrival);
    b.copy(heard, all);
    b.reduce_left(arrival, all);
    heard = all;
  }
  b.copy(heard, b.output(0));  // a single rank has heard of nobody else
  return std::move(b).finish();
}

Cost dissemination_cost(const Shape& shape, const Chunking&) {
  const auto rounds = static_cast<std::uint64_t>(ceil_log2(shape.ranks));
  return flat_cost(1, {.rounds = rounds, .path = rounds, .sent = rounds, .reduced = rounds});
}

}  // namespace tutti::barrier_algorithms
