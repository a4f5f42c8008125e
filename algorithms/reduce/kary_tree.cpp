// Pipelined k-ary tree reduce: pieces of the contributions follow each other up a complete k-ary tree (patterns/kary_tree.h) of
// the ranks counted from the root on. Nobody receives more than k times the vector, whatever the number of ranks, where a
// k-nomial tree brings it to the root most often. What is below a rank is no range of ranks, so the operator must commute.
//
//   root 0, k = 2      3, 4 -- piece 0 --> 1      5, 6 -- piece 0 --> 2      1, 2 -- piece 0 --> 0
//                                                                            3, 4 -- piece 1 --> 1      one level behind
//
// Source: J. Pjesivac-Grbovic et al., "Performance Analysis of MPI Collective Operations", Cluster Computing 10 (2007).
#include "algorithms/patterns/kary_tree.h"

#include "algorithms/patterns/combine.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"
#include "algorithms/reduce/reduce.h"

namespace tutti::reduce_algorithms {

Schedule kary_tree(Rank me, const Shape& shape, const Chunking& chunking) {
  const Rank p = shape.ranks, radix = static_cast<Rank>(chunking.radix), node = ring::shift(me, -shape.root, p);
  Builder b(Collective::reduce, "kary_tree", me, shape, chunking.pieces);
  const auto rank_of = [&](Rank other) { return ring::shift(shape.root, other, p); };
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    std::vector<Slice> contributions{b.input(piece)};
    kary_tree::for_each_child(node, p, radix, [&](Rank child) {
      contributions.push_back(b.scratch_like(b.input(piece)));
      b.recv(rank_of(child), contributions.back());
    });
    const bool leaf = contributions.size() == 1 && node != 0;
    const Slice sum = node == 0 ? b.output(piece) : leaf ? b.input(piece) : b.scratch_like(b.input(piece));
    combine_in_rank_order(b, contributions, 0, sum);
    if (node != 0) b.send(sum, rank_of(kary_tree::parent(node, radix)));
  }
  return std::move(b).finish();
}

Cost kary_tree_cost(const Shape& shape, const Chunking& chunking) {
  if (shape.ranks == 1) return flat_cost(chunking.pieces, {});
  const auto radix = static_cast<Rank>(chunking.radix);
  const std::uint64_t pieces = chunking.pieces, rounds = kary_tree::depth(shape.ranks, radix) + pieces - 1;
  const std::uint64_t children = kary_tree::most_children(shape.ranks, radix), taken = children * pieces;
  // One piece comes from leaves a round before it comes from others: of two levels, a last one that the first node alone has
  // children in leaves the root, and nobody else, with `radix` children, the first of them late.
  const bool late = pieces == 1 && shape.ranks > radix + 1 && shape.ranks < 2 * radix + 1;
  return flat_cost(chunking.pieces,
                   {.rounds = rounds,
                    .path = rounds,
                    .sent = pieces,
                    .reduced = taken,
                    .carried = carried(shape, [&](Carried& n) { kary_tree::tell(n, shape.root, shape.ranks, radix, pieces); }),
                    .taken = taken,
                    .at_a_time = children - late,
                    .posted = taken});
}

}  // namespace tutti::reduce_algorithms
