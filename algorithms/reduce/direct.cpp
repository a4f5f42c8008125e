// Direct reduce. Every rank sends its input straight to the root, which combines all of them in rank order, in one pass over
// memory.
//
//   ranks      0           1           2           3
//   sends      -> 2        -> 2                    -> 2
//   combines                           a b c d               root 2
//
// A single round, in which all but the root have one message to send: for small inputs and few ranks.
// Source: the linear algorithm of the textbooks.
#include "algorithms/patterns/combine.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"
#include "algorithms/reduce/reduce.h"

namespace tutti::reduce_algorithms {

Schedule direct(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::reduce, "direct", me, shape, 1);
  if (me != shape.root) {
    b.send(b.input(0), shape.root);
    return std::move(b).finish();
  }
  std::vector<Slice> parts(static_cast<std::size_t>(shape.ranks), b.input(0));
  for (Rank distance = 1; distance < shape.ranks; ++distance) {
    const Rank from = ring::shift(me, distance, shape.ranks);
    Slice& part = parts[static_cast<std::size_t>(from)];
    part = b.scratch_like(b.output(0));
    b.recv(from, part);
  }
  combine_in_rank_order(b, parts, static_cast<std::size_t>(me), b.output(0));
  return std::move(b).finish();
}

Cost direct_cost(const Shape& shape, const Chunking&) {
  const auto others = static_cast<std::uint64_t>(shape.ranks - 1);
  const std::uint64_t once = others > 0 ? 1 : 0;
  return flat_cost(1, {.rounds = once,
                       .path = once,
                       .sent = once,
                       .reduced = others,
                       .carried = carried(shape, [&](Carried& n) { n.star(shape.root, 1); }),
                       .published = once,
                       .taken = others,
                       .posted = others});
}

}  // namespace tutti::reduce_algorithms
