// Direct broadcast: the root sends all it has to every other rank at once. One round, and p-1 times the data from one rank.
//
//   root 0     0 --> 1
//              0 ---------> 2
//              0 ----------------> 3
//
// Source: folklore; "linear" broadcast in the MPI literature.
#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"

namespace tutti::broadcast_algorithms {

Schedule direct(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::broadcast, "direct", me, shape, 1);
  if (me != shape.root) {
    b.recv(shape.root, b.output(0));
    return std::move(b).finish();
  }
  for (Rank distance = 1; distance < shape.ranks; ++distance) b.send(b.input(0), ring::shift(me, distance, shape.ranks));
  b.copy(b.input(0), b.output(0));
  return std::move(b).finish();
}

Cost direct_cost(const Shape& shape, const Chunking&) {
  const std::uint64_t once = shape.ranks > 1 ? 1 : 0;
  const auto others = static_cast<std::uint64_t>(shape.ranks - 1);
  return flat_cost(1, {.rounds = once,
                       .path = once,
                       .sent = others,
                       .carried = carried(shape, [&](Carried& n) { n.star(shape.root, 1); }),
                       .published = once,
                       .taken = once,
                       .posted = others});
}

}  // namespace tutti::broadcast_algorithms
