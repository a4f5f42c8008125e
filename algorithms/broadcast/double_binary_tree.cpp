// Double binary tree broadcast. The ranks other than the root, the followers, stand in two binary trees at once
// (patterns/double_tree.h): who is inside one tree is a leaf of the other. The root sends one half of the data down each tree,
// so every follower sends about as much as it receives and the whole takes logarithmic time. Halves are cut into pieces that
// follow each other down the trees. Each tree has a channel of its own, so the halves never wait for each other.
//
//   root 3          tree 0, first half          tree 1, second half
//   followers          3 -> 0 -> 2                 3 -> 1 -> 0
//   0 1 2                        `-> 1                       `-> 2
//
// Source: P. Sanders, J. Speck, J. L. Träff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan",
// Parallel Computing 35 (2009).
#include <vector>

#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/double_tree.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"

namespace tutti::broadcast_algorithms {
namespace {

struct Edges {
  Rank parent = kNoRank;
  std::vector<Rank> children;
};

// Followers are numbered around the circle from the root on.
Edges edges(int tree, Rank me, const Shape& shape) {
  const Rank followers = shape.ranks - 1;
  const auto rank = [&](Rank follower) { return ring::shift(shape.root, follower + 1, shape.ranks); };
  if (followers == 0) return {};
  if (me == shape.root) return {.parent = kNoRank, .children = {rank(double_tree::root(tree, followers))}};
  const double_tree::Node node = double_tree::node(tree, ring::shift(me, -shape.root - 1, shape.ranks), followers);
  Edges found{.parent = node.parent == kNoRank ? shape.root : rank(node.parent), .children = {}};
  for (const Rank child : {node.left, node.right})
    if (child != kNoRank) found.children.push_back(rank(child));
  return found;
}

}  // namespace

Schedule double_binary_tree(Rank me, const Shape& shape, const Chunking& chunking) {
  const std::uint32_t pieces = chunking.pieces;
  Builder b(Collective::broadcast, "double_binary_tree", me, shape, 2 * pieces);
  const bool at_root = me == shape.root;
  const Edges trees[] = {edges(0, me, shape), edges(1, me, shape)};
  for (std::uint32_t piece = 0; piece < pieces; ++piece) {
    for (std::uint16_t tree = 0; tree < 2; ++tree) {
      const std::uint32_t chunk = tree * pieces + piece;
      if (!at_root) b.recv(trees[tree].parent, b.output(chunk), tree);
      for (const Rank child : trees[tree].children) b.send(at_root ? b.input(chunk) : b.output(chunk), child, tree);
    }
  }
  if (at_root) b.copy(b.input(0, 2 * pieces), b.output(0, 2 * pieces));
  return std::move(b).finish();
}

Cost double_binary_tree_cost(const Shape& shape, const Chunking& chunking) {
  const std::uint32_t pieces = chunking.pieces;
  if (shape.ranks == 1) return flat_cost(2 * pieces, {});
  const std::uint64_t depth = 1 + static_cast<std::uint64_t>(double_tree::depth(shape.ranks - 1));
  const auto tell = [&](Carried& network) {
    for (const int tree : {0, 1})
      for (Rank r = 0; r < shape.ranks; ++r)
        if (const Rank parent = edges(tree, r, shape).parent; parent != kNoRank) network.message(parent, r, pieces);
  };
  return flat_cost(2 * pieces, {.rounds = depth + pieces - 1,
                                .path = depth + pieces - 1,
                                .sent = 2 * std::uint64_t{pieces},
                                .carried = carried(shape, tell),
                                .at_a_time = 2,  // by the root, to either tree; by who is inside one, to two children
                                .posted = 2 * std::uint64_t{pieces}});
}

}  // namespace tutti::broadcast_algorithms
