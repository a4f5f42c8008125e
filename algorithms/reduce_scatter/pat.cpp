// Parallel aggregated trees, reduce_scatter, for any number of ranks in ceil(log2 p) rounds of one message each: the all_gather
// of this name backwards. Every block is combined up a binomial tree to its owner (see patterns/shifted_trees.h), near to far:
// half of all blocks go to the neighbour only, and what goes far is one block. A rank keeps its blocks in scratch in the order of
// the trees' slots, so that what it sends in a round and what it combines are one slice each.
//
//   ranks      0              1              2              3
//   slots      acdb           bdac           cabd           dbca
//   d = 1      d0 b0 -> 3     a1 c1 -> 0     b2 d2 -> 1     c3 a3 -> 2
//   d = 2      c01 -> 2       d12 -> 3       a23 -> 0       b30 -> 1
//   at end     a0123          b1230          c2301          d3012          (c01: block c, combined over ranks 0, 1)
//
// A partial is over a range of the circle of ranks, and neighbouring ranges are joined: block b is combined in the order b, ...,
// p-1, 0, ..., b-1. What is over the last rank and rank 0 has no place left for those between, which come later, so the
// operator must be commutative.
// Source: S. Jeaugey, "PAT: a new algorithm for all-gather and reduce-scatter operations at scale", arXiv 2506.20252 (2025).
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"
#include "algorithms/patterns/shifted_trees.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::reduce_scatter_algorithms {

Schedule pat(Rank me, const Shape& shape, const Chunking&) {
  const Rank p = shape.ranks;
  const ShiftedTrees trees(p);
  Builder b(Collective::reduce_scatter, "pat", me, shape, 1);
  if (p == 1) {
    b.copy(b.input(0), b.output(0));
    return std::move(b).finish();
  }
  for (std::uint32_t slot = 0; slot < trees.slots(); ++slot) {
    const Slice block = b.input(trees.block(slot, me));
    b.copy(block, b.scratch_like(block));
  }
  for (auto round = trees.rounds().rbegin(); round != trees.rounds().rend(); ++round) {
    const Slice partial{Buffer::scratch, round->parents, round->count};
    const Slice arrival = b.scratch_like(partial);
    b.send({Buffer::scratch, round->children, round->count}, ring::shift(me, -round->distance, p));
    b.recv(ring::shift(me, round->distance, p), arrival);
    b.reduce(arrival, partial);
  }
  b.copy({Buffer::scratch, trees.root(), 1}, b.output(0));
  return std::move(b).finish();
}

Cost pat_cost(const Shape& shape, const Chunking&) {
  const auto chain = ShiftedTrees::longest_chain(shape.ranks);
  const auto others = static_cast<std::uint64_t>(shape.ranks - 1);
  const auto tell = [&](Carried& network) { tell_shifted_trees(network, shape.ranks); };
  return flat_cost(1, {.rounds = chain.rounds,
                       .path = chain.path,
                       .sent = others,
                       .reduced = others,
                       .carried = carried(shape, tell),
                       .posted = static_cast<std::uint64_t>(ceil_log2(shape.ranks))});
}

}  // namespace tutti::reduce_scatter_algorithms
