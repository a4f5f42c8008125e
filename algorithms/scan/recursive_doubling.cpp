// Recursive doubling scan. A partial is the combination of the contributions of neighbouring ranks that end with a rank's own. In
// round k (from 0) every rank sends its partial to the rank 2^k further on, if there is one, and joins what arrives to its own
// from the left, so the ranges double until they reach rank 0. They stay contiguous: the operator need not commute.
//
//   ranks      0        1        2        3
//   round 0    a -> 1   b -> 2   c -> 3   d
//   round 1    a -> 2   ab -> 3  bc       cd
//              a        ab       abc      abcd
//
// Every round combines into memory of its own, so that what arrives never waits for what is being sent.
// Source: W. D. Hillis, G. L. Steele, "Data Parallel Algorithms", Communications of the ACM 29 (1986).
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/logarithm.h"
#include "algorithms/scan/scan.h"

namespace tutti::scan_algorithms {

Schedule recursive_doubling(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::scan, "recursive_doubling", me, shape, 1);
  Slice partial = b.input(0);
  for (Rank distance = 1; distance < shape.ranks; distance *= 2) {
    if (me + distance < shape.ranks) b.send(partial, me + distance);
    if (me < distance) continue;
    const Slice arrival = b.scratch_like(b.output(0));
    const Slice sum = me < 2 * distance ? b.output(0) : b.scratch_like(b.output(0));
    b.recv(me - distance, arrival);
    b.copy(partial, sum);
    b.reduce_left(arrival, sum);
    partial = sum;
  }
  b.copy(partial, b.output(0));  // rank 0 has combined nothing
  return std::move(b).finish();
}

Cost recursive_doubling_cost(const Shape& shape, const Chunking&) {
  // The longest chain goes 1, 2, 4, ... ranks further in turn; rank 0 sends as far as it gets, the last rank combines from all.
  const auto rounds = static_cast<std::uint64_t>(floor_log2(shape.ranks)),
             peers = static_cast<std::uint64_t>(ceil_log2(shape.ranks));
  const auto tell = [&](Carried& network) {
    for (Rank d = 1; d < shape.ranks; d *= 2)
      for (Rank r = d; r < shape.ranks; ++r) network.message(r - d, r, 1);
  };
  return flat_cost(
      1, {.rounds = rounds, .path = rounds, .sent = peers, .reduced = peers, .carried = carried(shape, tell), .posted = peers});
}

}  // namespace tutti::scan_algorithms
