// Sparbit all_gather, for any number of ranks with ceil(log2 p) partners. Every block goes down a binomial tree of its own (see
// patterns/shifted_trees.h), far to near: while ranks know few blocks they send far, and the many blocks of the last round go to
// the neighbour. In the round with distance d, rank i sends all that it knows to i+d, except a block that would have gone all the
// way round. Blocks are read and written where they belong in the output, each as a message of its own, since they do not lie
// side by side: nothing is ever moved about, and no scratch is needed.
//
//   ranks      0             1             2             3             4
//   d = 4      a -> 4        b -> 0        c -> 1        d -> 2        e -> 3
//   d = 2      a -> 2        b -> 3        c -> 4        d -> 0        e -> 1      not the one that has just come
//   d = 1      a, d -> 1     b, e -> 2     c, a -> 3     d, b -> 4     e, c -> 0
//
// The messages of a round follow each other to one partner; those of different rounds overlap, so the longest chain is the
// floor(p/2) messages of the last round. `pat` sends the same blocks the same ways in one message per round.
// Source: W. Loch, G. Koslovski, "Sparbit: a new logarithmic-cost and data locality-aware MPI Allgather algorithm", SBAC-PAD
// 2021.
#include "algorithms/all_gather/all_gather.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"
#include "algorithms/patterns/shifted_trees.h"

namespace tutti::all_gather_algorithms {

Schedule sparbit(Rank me, const Shape& shape, const Chunking&) {
  const Rank p = shape.ranks;
  Builder b(Collective::all_gather, "sparbit", me, shape, 1);
  const auto block_at = [&](Rank offset) { return b.output(static_cast<std::uint32_t>(ring::shift(me, -offset, p))); };
  b.copy(b.input(0), block_at(0));
  for (Rank distance = farthest_distance(p); distance > 0; distance /= 2) {
    for (Rank offset = 0; offset + distance < p; offset += 2 * distance) {
      b.send(block_at(offset), ring::shift(me, distance, p));
      b.recv(ring::shift(me, -distance, p), block_at(offset + distance));
    }
  }
  return std::move(b).finish();
}

Cost sparbit_cost(const Shape& shape, const Chunking&) {
  const auto p = static_cast<std::uint64_t>(shape.ranks);
  // What a round sends as its j-th message has come as one of the first j-1 of an earlier round: messages wait for no longer a
  // chain than that of those before them in their own round.
  const auto tell = [&](Carried& network) { tell_shifted_trees(network, shape.ranks); };
  return flat_cost(1, {.rounds = p / 2, .path = p / 2, .sent = p - 1, .carried = carried(shape, tell), .posted = p - 1});
}

}  // namespace tutti::all_gather_algorithms
