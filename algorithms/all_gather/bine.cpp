// Bine butterfly all_gather, for any even number of ranks in ceil(log2 p) rounds: recursive doubling with peers a third nearer
// (see patterns/negabinary.h), over arcs of the circle of ranks. In step s, near to far, a rank sends its peer all blocks that it
// has, those of an arc, and gets an arc that lies beside it. The last round carries only what the peer lacks.
//
//   ranks      0          1          2          3          4          5          6          7
//   step 0     a -> 1     b -> 0     c -> 3     d -> 2     e -> 5     f -> 4     g -> 7     h -> 6
//   step 1     ab -> 7    ab -> 2    cd -> 1    cd -> 4    ef -> 3    ef -> 6    gh -> 5    gh -> 0
//   knowing    ghab       abcd       abcd       cdef       cdef       efgh       efgh       ghab
//   step 2     ghab -> 3  abcd -> 6  abcd -> 5  cdef -> 0  cdef -> 7  efgh -> 2  efgh -> 1  ghab -> 4
//
// Every rank sends p-1 blocks, straight from and into place; an arc that wraps from the last block to the first is two messages,
// each on a channel of its own. `swing` takes the same steps far to near, which makes the large messages the near ones, and
// sorts blocks.
// Source: D. De Sensi et al., "Bine Trees: Enhancing Collective Operations by Optimizing Communication Locality", SC 2025; the
// shorter last round is ours.
#include "algorithms/all_gather/all_gather.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/negabinary.h"

namespace tutti::all_gather_algorithms {

Schedule bine(Rank me, const Shape& shape, const Chunking&) {
  const Rank p = shape.ranks;
  Builder b(Collective::all_gather, "bine", me, shape, 1);
  const auto blocks = [&](Rank first, Rank size) {
    return b.output(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(size));
  };
  b.copy(b.input(0), blocks(me, 1));
  for (int step = 0; step < negabinary::steps(p); ++step) {
    const Rank peer = negabinary::peer(me, step, p);
    const bool last = step + 1 == negabinary::steps(p);
    const Arc mine = negabinary::reach(me, step, p), theirs = negabinary::reach(peer, step, p);
    for_each_range(last ? negabinary::rest(theirs, p) : mine, p, [&](Rank first, Rank count, std::uint16_t channel) {
      b.send(step == 0 ? b.input(0) : blocks(first, count), peer, channel);
    });
    for_each_range(last ? negabinary::rest(mine, p) : theirs, p,
                   [&](Rank first, Rank count, std::uint16_t channel) { b.recv(peer, blocks(first, count), channel); });
  }
  return std::move(b).finish();
}

Cost bine_cost(const Shape& shape, const Chunking&) {
  const auto chain = negabinary::longest_chain(shape.ranks);
  return flat_cost(1, {.rounds = chain.rounds,
                       .path = chain.path,
                       .sent = static_cast<std::uint64_t>(shape.ranks - 1),
                       .carried = carried(shape, [&](Carried& n) { negabinary::tell(n, shape.ranks, 1); }),
                       .posted = negabinary::posted_gathering(shape.ranks)});
}

}  // namespace tutti::all_gather_algorithms
