// Swing's all_reduce for small vectors, which is also that of Bine trees: recursive doubling with peers that are near on a ring
// or torus (see patterns/swing.h). In every step two ranks swap all they have combined so far. For a power of two of ranks.
//
//   ranks      0       1       2       3       4       5       6       7
//   step 2     a <-------------------> d       e <-------------------> h        and c with f, g with b
//   step 1     ad      bg <--> cf      ad <--> eh      cf <--> bg      eh       and the first with the last
//   step 0     adeh <> bcfg    bcfg <> adeh    adeh <> bcfg    bcfg <> adeh
//
// Far to near, other than in the paper: then all ranks that stand for the same contributions have combined them in the same
// way, and everybody gets the same bits: those of one half are on the left everywhere. (Near to far, ranks 0 and 1 have combined
// different ones after step 1.)
//
// Sources: D. De Sensi, T. Bonato, D. Saam, T. Hoefler, "Swing: Short-cutting Rings for Higher Bandwidth Allreduce", NSDI 2024;
// D. De Sensi et al., "Bine Trees: Enhancing Collective Operations by Optimizing Communication Locality", SC 2025.
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/swing.h"

namespace tutti::all_reduce_algorithms {

Schedule swing_latency(Rank me, const Shape& shape, const Chunking&) {
  const Swing swing(shape);
  const std::vector<Swing::Step> steps = swing.steps(0);
  Builder b(Collective::all_reduce, "swing_latency", me, shape, 1);
  Slice sum = b.input(0);
  for (std::size_t s = steps.size(); s-- > 0;) {
    const Rank peer = swing.peer(me, 0, steps[s]);
    const Slice arrival = b.scratch_like(b.output(0)), next = s == 0 ? b.output(0) : b.scratch_like(b.output(0));
    b.send(sum, peer);
    b.recv(peer, arrival);
    b.copy(sum, next);
    swing.in_second_half(me, 0, steps[s]) ? b.reduce_left(arrival, next) : b.reduce(arrival, next);
    sum = next;
  }
  b.copy(sum, b.output(0));  // a single rank has combined nothing
  return std::move(b).finish();
}

Cost swing_latency_cost(const Shape& shape, const Chunking&) {
  const Swing swing(shape);
  const std::vector<Swing::Step> steps = swing.steps(0);
  const std::uint64_t rounds = steps.size();
  const auto tell = [&](Carried& network) {
    for (const Swing::Step& step : steps)
      for (Rank r = 0; r < shape.ranks; ++r) network.message(r, swing.peer(r, 0, step), 1);
  };
  return flat_cost(
      1,
      {.rounds = rounds, .path = rounds, .sent = rounds, .reduced = rounds, .carried = carried(shape, tell), .posted = rounds});
}

}  // namespace tutti::all_reduce_algorithms
