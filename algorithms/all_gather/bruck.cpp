// Bruck's all_gather, for any number of ranks in ceil(log2 p) rounds of one message each. An arc is a range of blocks on the
// circle of ranks. Before the round with distance d, rank i knows the arc of d blocks that starts at its own; it sends this
// arc to i-d and receives from i+d the arc that follows its own. The last round carries only what is still missing. So that
// an arc is one slice though it wraps from the last block to the first, a rank collects blocks in scratch in the order i, i+1,
// ... and turns them into place at the end. Each scratch chunk has the size of the block it stands for.
//
//   ranks      0           1           2           3
//   d = 1      a -> 3      b -> 0      c -> 1      d -> 2
//   d = 2      ab -> 2     bc -> 3     cd -> 0     da -> 1
//   at end     abcd        bcda        cdab        dabc        each turned into abcd
//
// Source: J. Bruck, C.-T. Ho, S. Kipnis, E. Upfal, D. Weathersby, "Efficient Algorithms for All-to-All Communications in
// Multiport Message-Passing Systems", IEEE Trans. Parallel and Distributed Systems 8 (1997).
#include <algorithm>

#include "algorithms/all_gather/all_gather.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/logarithm.h"
#include "algorithms/patterns/ring.h"

namespace tutti::all_gather_algorithms {

Schedule bruck(Rank me, const Shape& shape, const Chunking&) {
  const Rank p = shape.ranks;
  const auto own = static_cast<std::uint32_t>(me), blocks = static_cast<std::uint32_t>(p);
  Builder b(Collective::all_gather, "bruck", me, shape, 1);
  b.copy(b.input(0), b.output(own));
  if (p == 1) return std::move(b).finish();

  const Slice tail = b.scratch_like({Buffer::output, own, blocks - own});  // blocks me .. p-1
  if (me > 0) (void)b.scratch_like({Buffer::output, 0, own});              // blocks 0 .. me-1 right behind
  const auto arc = [&](Rank first, Rank size) {
    return Slice{Buffer::scratch, tail.chunk + static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(size)};
  };
  b.copy(b.input(0), arc(0, 1));
  for (Rank distance = 1; distance < p; distance *= 2) {
    const Rank size = std::min(distance, p - distance);
    b.send(arc(0, size), ring::shift(me, -distance, p));
    b.recv(ring::shift(me, distance, p), arc(distance, size));
  }
  if (me + 1 < p) b.copy(arc(1, p - me - 1), b.output(own + 1, blocks - own - 1));
  if (me > 0) b.copy(arc(p - me, me), b.output(0, own));
  return std::move(b).finish();
}

Cost bruck_cost(const Shape& shape, const Chunking&) {
  if (shape.ranks == 1) return flat_cost(1, {});
  // The last round sends only blocks that came in rounds with a distance below their number, so it may not be the latest.
  const int full_rounds = ceil_log2(shape.ranks) - 1;
  const Rank last = shape.ranks - (Rank{1} << full_rounds);
  const int before_last = ceil_log2(last);
  const auto path = std::max((Rank{1} << full_rounds) - 1, (Rank{1} << before_last) - 1 + last);
  return flat_cost(1, {.rounds = static_cast<std::uint64_t>(std::max(full_rounds, before_last + 1)),
                       .path = static_cast<std::uint64_t>(path),
                       .sent = static_cast<std::uint64_t>(shape.ranks - 1)});
}

}  // namespace tutti::all_gather_algorithms
