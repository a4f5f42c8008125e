// Binomial reduce. At level k the ranks form aligned blocks of 2^k, each held by its lowest rank, or by the root if it is inside.
// A block's two halves meet at its holder, the lower half on the left: whatever the root is, contributions stay in rank order, so
// the operator need not commute, and no message goes round by rank 0.
//
//   root 2       0     1     2     3
//   level 1      a <-- b     c <-- d
//   level 2      ab -------> cd
//                            abcd
//
// A rank combines what its children send in one pass over memory. Pieces of the vector follow each other up the tree.
// Source: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH", Int. J.
// High Performance Computing Applications 19 (2005); holding blocks at the root is ours.
#include "algorithms/patterns/binomial.h"

#include "algorithms/patterns/flat_cost.h"
#include "algorithms/reduce/reduce.h"

namespace tutti::reduce_algorithms {
namespace {

// Combines the blocks that `me` holds; returns where the result is.
Slice combine_children(Builder& b, const Shape& shape, int levels, std::uint32_t piece) {
  const Rank me = b.me();
  const bool has_children = levels > 0 && (me == shape.root || binomial::sibling_begin(me, 0) < shape.ranks);
  if (me != shape.root && !has_children) return b.input(piece);
  const Slice sum = me == shape.root ? b.output(piece) : b.scratch_like(b.input(piece));
  b.copy(b.input(piece), sum);
  for (int level = 0; level < levels; ++level) {
    const Rank child = binomial::sibling_begin(me, level);
    if (child >= shape.ranks) continue;
    const Slice arrival = b.scratch_like(b.input(piece));
    b.recv(child, arrival);
    child < me ? b.reduce_left(arrival, sum) : b.reduce(arrival, sum);
  }
  return sum;
}

// How many blocks the root combines with its own, and the longest way a contribution takes to it.
struct RootView {
  std::uint64_t children = 0, depth = 0;
  std::uint64_t most_children = 0;  // of any rank
};
RootView root_view(const Shape& shape) {
  RootView view;
  for (int level = 0; level < ceil_log2(shape.ranks); ++level) {
    const Rank begin = binomial::sibling_begin(shape.root, level);
    if (begin >= shape.ranks) continue;
    const Rank size = std::min(Rank{1} << level, shape.ranks - begin);
    ++view.children;
    view.depth = std::max<std::uint64_t>(view.depth, 1 + static_cast<std::uint64_t>(binomial::depth(size)));
    view.most_children = std::max<std::uint64_t>(view.most_children, static_cast<std::uint64_t>(ceil_log2(size)));
  }
  view.most_children = std::max(view.most_children, view.children);
  return view;
}

}  // namespace

Schedule binomial(Rank me, const Shape& shape, const Chunking& chunking) {
  Builder b(Collective::reduce, "binomial", me, shape, chunking.pieces);
  const int levels = binomial::hands_on_at(me, shape.ranks, shape.root);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    const Slice sum = combine_children(b, shape, levels, piece);
    if (me == shape.root) continue;
    const Rank meets_in = me >> (levels + 1) << (levels + 1);
    b.send(sum, binomial::holder(meets_in, levels + 1, shape.root));
  }
  return std::move(b).finish();
}

Cost binomial_cost(const Shape& shape, const Chunking& chunking) {
  const RootView view = root_view(shape);
  const auto pieces = std::uint64_t{chunking.pieces};
  const std::uint64_t rounds = shape.ranks > 1 ? view.depth + pieces - 1 : 0;
  return flat_cost(
      chunking.pieces,
      {.rounds = rounds, .path = rounds, .sent = shape.ranks > 1 ? pieces : 0, .reduced = view.most_children * pieces});
}

}  // namespace tutti::reduce_algorithms
