// Bruck's all_gather, for any number of ranks and any radix k, in ceil(log_k p) rounds of k-1 messages each. An arc is a range of
// blocks on the circle of ranks. Before the round with distance d, rank i knows the arc of d blocks that starts at its own; it
// sends this arc to i-d, i-2d, ..., i-(k-1)d and receives from i+d, i+2d, ... the arcs that follow its own. The last round
// carries only what is still missing. So that an arc is one slice though it wraps from the last block to the first, a rank
// collects blocks in scratch in the order i, i+1, ... and turns them into place at the end. Each scratch chunk has the size of
// the block it stands for.
//
//   ranks      0           1           2           3           k = 2
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
namespace {

// visit(known, size): everybody has `known` blocks, and gets `size` more from the one so far to its right.
template <class Visit>
void for_each_message(Rank p, Rank radix, Visit&& visit) {
  for (Rank known = 1; known < p;) {
    const Rank distance = known, after = std::min(p, static_cast<Rank>(std::int64_t{distance} * radix));
    for (; known < after; known += distance) visit(known, std::min(distance, p - known));
  }
}

}  // namespace

Schedule bruck(Rank me, const Shape& shape, const Chunking& chunking) {
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
  const auto radix = static_cast<Rank>(chunking.radix);
  for_each_message(p, radix, [&](Rank known, Rank size) {
    b.send(arc(0, size), ring::shift(me, -known, p));
    b.recv(ring::shift(me, known, p), arc(known, size));
  });
  if (me + 1 < p) b.copy(arc(1, p - me - 1), b.output(own + 1, blocks - own - 1));
  if (me > 0) b.copy(arc(p - me, me), b.output(0, own));
  return std::move(b).finish();
}

Cost bruck_cost(const Shape& shape, const Chunking& chunking) {
  if (shape.ranks == 1) return flat_cost(1, {});
  const auto radix = static_cast<Rank>(chunking.radix);
  // A message of every round but the last, of 1, k, k^2, ... blocks. Then the largest one of the last round: where it carries but
  // what is missing, it waits only for the rounds that have brought as much, and so may not be the latest.
  const auto blocks_in = [radix](int rounds) {
    Rank blocks = 0, next = 1;
    for (; rounds > 0; --rounds, next *= radix) blocks += next;
    return blocks;
  };
  const int full_rounds = ceil_log(shape.ranks, radix) - 1;
  const Rank known = blocks_in(full_rounds) * (radix - 1) + 1, last = std::min(known, shape.ranks - known);
  const int before_last = ceil_log(last, radix);
  std::uint64_t messages = 0;
  for_each_message(shape.ranks, radix, [&](Rank, Rank) { ++messages; });
  const auto tell = [&](Carried& network) {
    for_each_message(shape.ranks, radix, [&](Rank way, Rank size) { network.shift(way, static_cast<std::uint64_t>(size)); });
  };
  return flat_cost(1, {.rounds = static_cast<std::uint64_t>(std::max(full_rounds, before_last + 1)),
                       .path = static_cast<std::uint64_t>(std::max(blocks_in(full_rounds), blocks_in(before_last) + last)),
                       .sent = static_cast<std::uint64_t>(shape.ranks - 1),
                       .carried = carried(shape, tell),
                       .posted = messages});
}

}  // namespace tutti::all_gather_algorithms
