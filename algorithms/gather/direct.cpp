// Direct gather: every rank sends its block straight to the root, which receives all at once.
//
//   root 0     0 <-- b --- 1
//              0 <-------- c ------- 2
//              0 <------------------ d ------ 3
//
// Source: folklore; "linear" gather in the MPI literature.
#include "algorithms/gather/gather.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"

namespace tutti::gather_algorithms {

Schedule direct(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::gather, "direct", me, shape, 1);
  if (me != shape.root) {
    b.send(b.input(0), shape.root);
    return std::move(b).finish();
  }
  b.copy(b.input(0), b.output(static_cast<std::uint32_t>(me)));
  for (Rank distance = 1; distance < shape.ranks; ++distance) {
    const Rank source = ring::shift(me, distance, shape.ranks);
    b.recv(source, b.output(static_cast<std::uint32_t>(source)));
  }
  return std::move(b).finish();
}

Cost direct_cost(const Shape& shape, const Chunking&) {
  const std::uint64_t once = shape.ranks > 1 ? 1 : 0;
  const auto others = static_cast<std::uint64_t>(shape.ranks - 1);
  return flat_cost(1, {.rounds = once,
                       .path = once,
                       .sent = once,
                       .carried = carried(shape, [&](Carried& n) { n.star(shape.root, 1); }),
                       .published = once,
                       .taken = others,
                       .posted = others});
}

}  // namespace tutti::gather_algorithms
