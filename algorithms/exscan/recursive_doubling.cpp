// Recursive doubling exclusive scan. As in the inclusive one (scan/recursive_doubling.cpp) partials double in length from round
// to round; a partial is the combination of neighbouring ranks that end with the rank's own. Beside it every rank gathers the
// same range without its own contribution, which is the result. Ranges stay contiguous: the operator need not commute.
//
//   ranks      0        1        2        3
//   round 0    a -> 1   b -> 2   c -> 3   d
//   round 1    a -> 2   ab -> 3  bc       cd          partials
//              -        a        b        c           results after round 0
//              -        a        ab       abc         results after round 1
//
// Source: W. D. Hillis, G. L. Steele, "Data Parallel Algorithms", Communications of the ACM 29 (1986).
#include <algorithm>

#include "algorithms/exscan/exscan.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/logarithm.h"

namespace tutti::exscan_algorithms {

Schedule recursive_doubling(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::exscan, "recursive_doubling", me, shape, 1);
  Slice partial = b.input(0);
  const bool keeps_own = shape.in_place && me + 1 < shape.ranks;  // the output is this rank's own contribution, to be sent
  std::vector<Slice> arrivals;                                    // nearest ranks first
  for (Rank distance = 1; distance < shape.ranks; distance *= 2) {
    if (me + distance < shape.ranks) b.send(partial, me + distance);
    if (me < distance) continue;
    const Slice arrival = arrivals.empty() && !keeps_own ? b.output(0) : b.scratch_like(b.output(0));
    b.recv(me - distance, arrival);
    arrivals.push_back(arrival);
    if (me + 2 * distance >= shape.ranks) continue;  // nobody needs the longer partial
    const Slice sum = b.scratch_like(b.output(0));
    b.copy(partial, sum);
    b.reduce_left(arrival, sum);
    partial = sum;
  }
  for (std::size_t i = 0; i < arrivals.size(); ++i)
    i == 0 ? b.copy(arrivals[i], b.output(0)) : b.reduce_left(arrivals[i], b.output(0));
  return std::move(b).finish();
}

Cost recursive_doubling_cost(const Shape& shape, const Chunking&) {
  const auto rounds = static_cast<std::uint64_t>(floor_log2(shape.ranks)),
             peers = static_cast<std::uint64_t>(ceil_log2(shape.ranks));
  // A rank with n arrivals joins them to its result and, as long as somebody needs it, to its partial; of the ranks with n
  // arrivals the lowest, 2^(n-1), has the most ranks behind it.
  int reduced = 0;
  for (int arrivals = 1; arrivals <= ceil_log2(shape.ranks); ++arrivals) {
    const Rank behind = shape.ranks - 1 - (Rank{1} << (arrivals - 1));
    reduced = std::max(reduced, arrivals - 1 + (behind > 0 ? std::min(arrivals, floor_log2(behind)) : 0));
  }
  const auto tell = [&](Carried& network) {
    for (Rank d = 1; d < shape.ranks; d *= 2)
      for (Rank r = d; r < shape.ranks; ++r) network.message(r - d, r, 1);
  };
  return flat_cost(1, {.rounds = rounds,
                       .path = rounds,
                       .sent = peers,
                       .reduced = static_cast<std::uint64_t>(reduced),
                       .carried = carried(shape, tell),
                       .posted = peers});
}

}  // namespace tutti::exscan_algorithms
