// K-nomial reduce: contributions go up a tree of ranges (patterns/knomial_tree.h). The ranks below a rank are a range, which
// splits into ranges of its children and itself: whatever the root is, contributions stay in rank order, so the operator need not
// commute, and no message goes round by rank 0. A larger radix k means fewer rounds, in which more messages come to one rank.
//
//   root 2      0     1     2     3        k = 2
//               a <-- b     c <-- d
//               ab -------> cd
//                           abcd
//
// A rank combines what its children send in one pass over memory. Pieces of the vector follow each other up the tree.
// Source: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH", Int. J.
// High Performance Computing Applications 19 (2005), for k = 2; the tree is that of E. Chan et al. (2007) and M. Wilkins et al.
// (2023).
#include <algorithm>

#include "algorithms/patterns/combine.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/knomial_tree.h"
#include "algorithms/reduce/reduce.h"

namespace tutti::reduce_algorithms {
namespace {

// The ranks whose contributions, each of the range below it, meet at a node, in rank order: the children and the node itself.
std::vector<Rank> those_who_meet(Rank me, const knomial_tree::Node& node) {
  std::vector<Rank> ranks{me};
  knomial_tree::for_each_child(node, [&](const knomial_tree::Group& child) { ranks.push_back(child.root); });
  std::ranges::sort(ranks);
  return ranks;
}

}  // namespace

Schedule knomial(Rank me, const Shape& shape, const Chunking& chunking) {
  Builder b(Collective::reduce, "knomial", me, shape, chunking.pieces);
  const knomial_tree::Node node = knomial_tree::find(me, shape.root, shape.ranks, static_cast<Rank>(chunking.radix));
  const std::vector<Rank> met = those_who_meet(me, node);
  const auto own = static_cast<std::size_t>(std::ranges::find(met, me) - met.begin());
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    std::vector<Slice> contributions(met.size(), b.input(piece));
    for (std::size_t i = 0; i < met.size(); ++i) {
      if (i == own) continue;
      contributions[i] = b.scratch_like(b.input(piece));
      b.recv(met[i], contributions[i]);
    }
    const bool leaf = met.size() == 1 && me != shape.root;
    const Slice sum = me == shape.root ? b.output(piece) : leaf ? b.input(piece) : b.scratch_like(b.input(piece));
    combine_in_rank_order(b, contributions, own, sum);
    if (me != shape.root) b.send(sum, node.parent);
  }
  return std::move(b).finish();
}

Cost knomial_cost(const Shape& shape, const Chunking& chunking) {
  const knomial_tree::Extremes tree = knomial_tree::extremes(shape.root, shape.ranks, static_cast<Rank>(chunking.radix));
  if (shape.ranks == 1) return flat_cost(chunking.pieces, {});
  const std::uint64_t pieces = chunking.pieces, rounds = tree.depth + pieces - 1, taken = tree.widest * pieces;
  const auto tell = [&](Carried& network) {
    knomial_tree::tell(network, shape.root, shape.ranks, static_cast<Rank>(chunking.radix),
                       [&](std::uint64_t) { return pieces; });
  };
  return flat_cost(chunking.pieces, {.rounds = rounds,
                                     .path = rounds,
                                     .sent = pieces,
                                     .reduced = taken,
                                     .carried = carried(shape, tell),
                                     .taken = taken,
                                     .posted = taken});
}

}  // namespace tutti::reduce_algorithms
