// Direct scatter: the root sends every rank its block, all at once.
//
//   root 0     0 --- b --> 1
//              0 --------- c ------> 2
//              0 ------------------- d -----> 3
//
// Source: folklore; "linear" scatter in the MPI literature.
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"
#include "algorithms/scatter/scatter.h"

namespace tutti::scatter_algorithms {

Schedule direct(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::scatter, "direct", me, shape, 1);
  if (me != shape.root) {
    b.recv(shape.root, b.output(0));
    return std::move(b).finish();
  }
  for (Rank distance = 1; distance < shape.ranks; ++distance) {
    const Rank target = ring::shift(me, distance, shape.ranks);
    b.send(b.input(static_cast<std::uint32_t>(target)), target);
  }
  b.copy(b.input(static_cast<std::uint32_t>(me)), b.output(0));
  return std::move(b).finish();
}

Cost direct_cost(const Shape& shape, const Chunking&) {
  const std::uint64_t once = shape.ranks > 1 ? 1 : 0;
  const auto others = static_cast<std::uint64_t>(shape.ranks - 1);
  return flat_cost(1, {.rounds = once,
                       .path = once,
                       .sent = others,
                       .carried = carried(shape, [&](Carried& n) { n.star(shape.root, 1); }),
                       .published = others,
                       .taken = once,
                       .posted = others});
}

}  // namespace tutti::scatter_algorithms
