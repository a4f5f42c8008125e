// Bine tree gather: blocks go up a binomial tree whose edges are a third shorter (patterns/bine_tree.h). The ranks below a rank
// are an arc on the circle of ranks; it collects their blocks in scratch, in the order of the arc, and sends them to its parent
// as one message. The root takes them straight into place, but for the one arc that may wrap from the last rank to the first.
//
//   root 0     0       1       2       3       4       5       6       7
//              | <- b- 1       2 -c -> 3       4 <- f- 5       6 -g -> 7
//              |                       | <-ef- 4
//              | <---------------------------------------------- gh -- 7        0 and 7 are neighbours on the circle
//              | <------- cdef ------- 3
//
// Source: D. De Sensi et al., "Bine Trees: Enhancing Collective Operations by Optimizing Communication Locality", SC 2025.
#include "algorithms/gather/gather.h"
#include "algorithms/patterns/arc_memory.h"
#include "algorithms/patterns/bine_tree.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/knomial_tree.h"

namespace tutti::gather_algorithms {
namespace {

Slice all_blocks(const Shape& shape) { return {Buffer::output, 0, static_cast<std::uint32_t>(shape.ranks)}; }

void collect_at_root(Builder& b, const bine_tree::Node& node, const Slice& all) {
  b.copy(b.input(0), part(all, b.me(), 1));
  node.for_each_child([&](Rank child, Arc arc) {
    const bool wraps = arc.first + arc.size > b.ranks();
    const Slice arrival = wraps ? room_for_arc(b, all, arc) : part(all, arc.first, arc.size);
    b.recv(child, arrival);
    if (wraps) for_each_range_in(arrival, arc, all, [&](const Slice& place, const Slice& arrived) { b.copy(arrived, place); });
  });
}

}  // namespace

Schedule bine(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::gather, "bine", me, shape, 1);
  const bine_tree::Node node(me, shape.root, shape.ranks);
  if (node.parent() == kNoRank) {
    collect_at_root(b, node, all_blocks(shape));
    return std::move(b).finish();
  }
  if (node.below().size == 1) {  // a leaf has nothing to collect
    b.send(b.input(0), node.parent());
    return std::move(b).finish();
  }
  const Arc below = node.below();
  const Slice held = room_for_arc(b, all_blocks(shape), below);
  const auto place = [&](Arc arc) { return part(held, ring::shift(arc.first, -below.first, shape.ranks), arc.size); };
  b.copy(b.input(0), place({me, 1}));
  node.for_each_child([&](Rank child, Arc arc) { b.recv(child, place(arc)); });
  b.send(held, node.parent());
  return std::move(b).finish();
}

Cost bine_cost(const Shape& shape, const Chunking&) {
  const knomial_tree::Extremes tree = knomial_tree::extremes(0, shape.ranks);
  return flat_cost(
      1, {.rounds = tree.depth,
          .path = tree.heaviest,
          .sent = tree.largest,
          .carried = carried(
              shape, [&](Carried& n) { bine_tree::tell(n, shape.root, shape.ranks, [](std::uint64_t below) { return below; }); }),
          .taken = static_cast<std::uint64_t>(shape.ranks - 1),
          .posted = tree.widest});
}

}  // namespace tutti::gather_algorithms
