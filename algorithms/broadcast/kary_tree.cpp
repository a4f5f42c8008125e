// Pipelined k-ary tree broadcast: pieces of the data follow each other down a complete k-ary tree (patterns/kary_tree.h) of the
// ranks counted from the root on. Between a chain, in which the last rank waits longest, and a k-nomial tree, whose root sends
// the data most often: here nobody sends it more than k times, whatever the number of ranks.
//
//   root 0, k = 2      0 -- piece 0 --> 1, 2      1 -- piece 0 --> 3, 4      2 -- piece 0 --> 5, 6
//                                                 0 -- piece 1 --> 1, 2      one level behind
//
// Source: J. Pjesivac-Grbovic et al., "Performance Analysis of MPI Collective Operations", Cluster Computing 10 (2007).
#include "algorithms/patterns/kary_tree.h"

#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"

namespace tutti::broadcast_algorithms {

Schedule kary_tree(Rank me, const Shape& shape, const Chunking& chunking) {
  const Rank p = shape.ranks, radix = static_cast<Rank>(chunking.radix), node = ring::shift(me, -shape.root, p);
  const bool at_root = node == 0;
  Builder b(Collective::broadcast, "kary_tree", me, shape, chunking.pieces);
  const auto rank_of = [&](Rank other) { return ring::shift(shape.root, other, p); };
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    if (!at_root) b.recv(rank_of(kary_tree::parent(node, radix)), b.output(piece));
    const Slice data = at_root ? b.input(piece) : b.output(piece);
    kary_tree::for_each_child(node, p, radix, [&](Rank child) { b.send(data, rank_of(child)); });
  }
  if (at_root) b.copy(b.input(0, chunking.pieces), b.output(0, chunking.pieces));
  return std::move(b).finish();
}

Cost kary_tree_cost(const Shape& shape, const Chunking& chunking) {
  if (shape.ranks == 1) return flat_cost(chunking.pieces, {});
  const auto radix = static_cast<Rank>(chunking.radix);
  const std::uint64_t pieces = chunking.pieces, rounds = kary_tree::depth(shape.ranks, radix) + pieces - 1;
  const std::uint64_t children = kary_tree::most_children(shape.ranks, radix);
  return flat_cost(chunking.pieces,
                   {.rounds = rounds,
                    .path = rounds,
                    .sent = children * pieces,
                    .carried = carried(shape, [&](Carried& n) { kary_tree::tell(n, shape.root, shape.ranks, radix, pieces); }),
                    .at_a_time = children,
                    .posted = children * pieces});
}

}  // namespace tutti::broadcast_algorithms
