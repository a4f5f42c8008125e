// Circulant all_gather, for any number of ranks in ceil(log2 p) rounds. An arc is a run of blocks on the circle of ranks. Before
// the round with skip s (see patterns/circulant.h) rank i knows the arc of s blocks that starts at its own; it sends as much of
// the arc's front as i-s still lacks, and receives from i+s what follows its own arc.
//
//   ranks      0           1           2           3           4
//   skip 1     a -> 4      b -> 0      c -> 1      d -> 2      e -> 3        knowing  ab   bc   cd   de   ea
//   skip 2     a -> 3      b -> 4      c -> 0      d -> 1      e -> 2        knowing  abc  bcd  cde  dea  eab
//   skip 3     ab -> 2     bc -> 3     cd -> 4     de -> 0     ea -> 1
//
// Every rank sends p-1 blocks, as few as possible. Bruck's algorithm does the same with skips 1, 2, 4, ... and turns all blocks
// into place at the end; here they arrive in place, and an arc that wraps from the last block to the first is two messages, each
// on a channel of its own so that neither waits for the other.
// Source: J. L. Träff, "Optimal, Non-pipelined Reduce-scatter and Allreduce Algorithms" (2024), arXiv 2410.14234.
#include "algorithms/patterns/circulant.h"

#include "algorithms/all_gather/all_gather.h"
#include "algorithms/patterns/arc.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"

namespace tutti::all_gather_algorithms {

Schedule circulant(Rank me, const Shape& shape, const Chunking&) {
  const Rank p = shape.ranks;
  Builder b(Collective::all_gather, "circulant", me, shape, 1);
  const auto blocks = [&](Rank first, Rank size) {
    return b.output(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(size));
  };
  b.copy(b.input(0), blocks(me, 1));
  for (int number = circulant::rounds(p); number-- > 0;) {
    const auto [skip, size] = circulant::round(p, number);
    const Rank to = ring::shift(me, -skip, p), from = ring::shift(me, skip, p);
    for_each_range({me, size}, p, [&, one = size == 1](Rank first, Rank count, std::uint16_t channel) {
      b.send(one ? b.input(0) : blocks(first, count), to, channel);
    });
    for_each_range({from, size}, p,
                   [&](Rank first, Rank count, std::uint16_t channel) { b.recv(from, blocks(first, count), channel); });
  }
  return std::move(b).finish();
}

Cost circulant_cost(const Shape& shape, const Chunking&) {
  const auto chain = circulant::longest_chain(shape.ranks);
  return flat_cost(1, {.rounds = chain.rounds,
                       .path = chain.path,
                       .sent = static_cast<std::uint64_t>(shape.ranks - 1),
                       .carried = carried(shape, [&](Carried& n) { circulant::tell(n, shape.ranks, 1); }),
                       .posted = circulant::posted(shape.ranks)});
}

}  // namespace tutti::all_gather_algorithms
