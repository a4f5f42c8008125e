// Parallel aggregated trees, all_gather, for any number of ranks in ceil(log2 p) rounds of one message each. Every block goes
// down a binomial tree of its own (see patterns/shifted_trees.h), far to near: what goes far is one block, and half of all blocks
// go to the neighbour only, where Bruck's algorithm sends its largest messages farthest. All that a rank sends in a
// round is aggregated to one message. A rank keeps blocks in scratch in the order of the trees' slots, so that a message is
// one slice at both ends, and puts them to their places at the end. Each scratch chunk has the size of the block it stands for.
//
//   ranks      0            1            2            3            4
//   d = 4      a -> 4       b -> 0       c -> 1       d -> 2       e -> 3
//   d = 2      a -> 2       b -> 3       c -> 4       d -> 0       e -> 1
//   d = 1      da -> 1      eb -> 2      ac -> 3      bd -> 4      ce -> 0
//   slots      cedab        daebc        ebacd        acbde        bdcea        each put into place
//
// The paper limits how many blocks a message may aggregate, to stage less. Here it is all of them; with one at most, it needs no
// staging and is `sparbit`.
// Source: S. Jeaugey, "PAT: a new algorithm for all-gather and reduce-scatter operations at scale", arXiv 2506.20252 (2025).
#include "algorithms/all_gather/all_gather.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"
#include "algorithms/patterns/shifted_trees.h"

namespace tutti::all_gather_algorithms {

Schedule pat(Rank me, const Shape& shape, const Chunking&) {
  const Rank p = shape.ranks;
  const ShiftedTrees trees(p);
  Builder b(Collective::all_gather, "pat", me, shape, 1);
  b.copy(b.input(0), b.output(static_cast<std::uint32_t>(me)));
  if (p == 1) return std::move(b).finish();

  for (std::uint32_t slot = 0; slot < trees.slots(); ++slot) (void)b.scratch_like({Buffer::output, trees.block(slot, me), 1});
  b.copy(b.input(0), {Buffer::scratch, trees.root(), 1});
  for (const ShiftedTrees::Round& round : trees.rounds()) {
    b.send({Buffer::scratch, round.parents, round.count}, ring::shift(me, round.distance, p));
    b.recv(ring::shift(me, -round.distance, p), {Buffer::scratch, round.children, round.count});
  }
  for (std::uint32_t slot = 0; slot < trees.slots(); ++slot)
    if (slot != trees.root()) b.copy({Buffer::scratch, slot, 1}, b.output(trees.block(slot, me)));
  return std::move(b).finish();
}

Cost pat_cost(const Shape& shape, const Chunking&) {
  const auto chain = ShiftedTrees::longest_chain(shape.ranks);
  return flat_cost(1, {.rounds = chain.rounds,
                       .path = chain.path,
                       .sent = static_cast<std::uint64_t>(shape.ranks - 1),
                       .carried = carried(shape, [&](Carried& n) { tell_shifted_trees(n, shape.ranks); }),
                       .posted = static_cast<std::uint64_t>(ceil_log2(shape.ranks))});
}

}  // namespace tutti::all_gather_algorithms
