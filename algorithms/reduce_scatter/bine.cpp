// Bine butterfly reduce_scatter, for any even number of ranks in ceil(log2 p) rounds: recursive halving with peers a third nearer
// (see patterns/negabinary.h), over arcs of the circle of ranks. In step s, far to near, a rank keeps the arc of blocks of all
// ranks that it reaches by the steps that follow, and sends its peer the arc that the peer reaches. The first round carries only
// what is not kept where 2^ceil(log2 p) is more than p.
//
//   ranks      0          1          2          3          4          5          6          7
//   step 2     cdef -> 3  efgh -> 6  efgh -> 5  ghab -> 0  ghab -> 7  abcd -> 2  abcd -> 1  cdef -> 4
//   keeping    ghab       abcd       abcd       cdef       cdef       efgh       efgh       ghab
//   step 1     gh -> 7    cd -> 2    ab -> 1    ef -> 4    cd -> 3    gh -> 6    ef -> 5    ab -> 0
//   step 0     b -> 1     a -> 0     d -> 3     c -> 2     f -> 5     e -> 4     h -> 7     g -> 6
//
// Every rank sends and combines p-1 blocks. All messages are one slice, but the first, whose arc may wrap, so nothing has to be
// brought in order; `swing` takes the same steps near to far, which makes the large messages the near ones, and sorts blocks.
// Source: D. De Sensi et al., "Bine Trees: Enhancing Collective Operations by Optimizing Communication Locality", SC 2025
// (distance halving butterfly); the shorter first round is ours.
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/negabinary.h"
#include "algorithms/reduce_scatter/arcs.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::reduce_scatter_algorithms {

Schedule bine(Rank me, const Shape& shape, const Chunking&) {
  const Rank p = shape.ranks;
  Builder b(Collective::reduce_scatter, "bine", me, shape, 1);
  const int last = negabinary::steps(p) - 1;
  const Rank first_peer = negabinary::peer(me, last, p);
  const Arc kept = negabinary::reach(me, last, p), not_kept = negabinary::rest(kept, p);
  const Arc received = negabinary::rest(negabinary::reach(first_peer, last, p), p);
  Slice partial = last > 0 ? room_for_arc(b, b.input(0, static_cast<std::uint32_t>(p)), kept) : b.output(0);
  split_input(b, first_peer, not_kept, first_peer, received, kept, partial);
  for (int step = last - 1; step >= 0; --step) {
    const Rank half = Rank{1} << step, peer = negabinary::peer(me, step, p);
    const Slice front = part(partial, 0, half), back = part(partial, half, half);
    const bool keeps_front = negabinary::peer_is_behind(me, step);
    partial = keeps_front ? front : back;
    const Slice sum = step > 0 ? partial : b.output(0);
    b.send(keeps_front ? back : front, peer);
    combine(b, peer, partial, sum, 0);
  }
  return std::move(b).finish();
}

Cost bine_cost(const Shape& shape, const Chunking&) {
  const auto chain = negabinary::longest_chain(shape.ranks);
  const auto others = static_cast<std::uint64_t>(shape.ranks - 1);
  const auto tell = [&](Carried& network) { negabinary::tell(network, shape.ranks, 1); };
  return flat_cost(1, {.rounds = chain.rounds,
                       .path = chain.path,
                       .sent = others,
                       .reduced = others,
                       .carried = carried(shape, tell),
                       .posted = negabinary::posted_scattering(shape.ranks)});
}

}  // namespace tutti::reduce_scatter_algorithms
