// Bine tree scatter: blocks go down a binomial tree whose edges are a third shorter (patterns/bine_tree.h). The ranks below a
// rank are an arc on the circle of ranks; it receives their blocks as one message, in the order of the arc, and hands each child
// the child's part. The root sends straight from its input, but for the one arc that may wrap from the last rank to the first.
//
//   root 0     0       1       2       3       4       5       6       7
//              | ------- cdef -------> 3
//              | ----------------------------------------------- gh -> 7        0 and 7 are neighbours on the circle
//              |                       | -ef-> 4
//              | -b -> 1       2 <- c- 3       4 -f -> 5       6 <- g- 7
//
// Source: D. De Sensi et al., "Bine Trees: Enhancing Collective Operations by Optimizing Communication Locality", SC 2025.
#include "algorithms/patterns/arc_memory.h"
#include "algorithms/patterns/bine_tree.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/knomial_tree.h"
#include "algorithms/scatter/scatter.h"

namespace tutti::scatter_algorithms {
namespace {

Slice all_blocks(const Shape& shape) { return {Buffer::input, 0, static_cast<std::uint32_t>(shape.ranks)}; }

void serve_from_root(Builder& b, const bine_tree::Node& node, const Slice& all) {
  node.for_each_child([&](Rank child, Arc arc) {
    if (arc.first + arc.size <= b.ranks()) return b.send(part(all, arc.first, arc.size), child);
    const Slice turned = room_for_arc(b, all, arc);
    for_each_range_in(turned, arc, all, [&](const Slice& blocks, const Slice& place) { b.copy(blocks, place); });
    b.send(turned, child);
  });
  b.copy(part(all, b.me(), 1), b.output(0));
}

}  // namespace

Schedule bine(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::scatter, "bine", me, shape, 1);
  const bine_tree::Node node(me, shape.root, shape.ranks);
  if (node.parent() == kNoRank) {
    serve_from_root(b, node, all_blocks(shape));
    return std::move(b).finish();
  }
  if (node.below().size == 1) {  // a leaf has nothing to hand on
    b.recv(node.parent(), b.output(0));
    return std::move(b).finish();
  }
  const Arc below = node.below();
  const Slice held = room_for_arc(b, all_blocks(shape), below);
  const auto place = [&](Arc arc) { return part(held, ring::shift(arc.first, -below.first, shape.ranks), arc.size); };
  b.recv(node.parent(), held);
  node.for_each_child([&](Rank child, Arc arc) { b.send(place(arc), child); });
  b.copy(place({me, 1}), b.output(0));
  return std::move(b).finish();
}

Cost bine_cost(const Shape& shape, const Chunking&) {
  const knomial_tree::Extremes tree = knomial_tree::extremes(0, shape.ranks);
  const auto tell = [&](Carried& network) {
    bine_tree::tell(network, shape.root, shape.ranks, [](std::uint64_t below) { return below; });
  };
  return flat_cost(1, {.rounds = tree.depth,
                       .path = tree.heaviest,
                       .sent = static_cast<std::uint64_t>(shape.ranks - 1),
                       .carried = carried(shape, tell),
                       .posted = tree.widest});
}

}  // namespace tutti::scatter_algorithms
