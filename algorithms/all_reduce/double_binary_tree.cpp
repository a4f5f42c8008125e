// Double binary tree all_reduce. The vector has two halves, each cut into pieces. Half t is combined up tree t and broadcast
// down again (see patterns/double_tree.h); the pieces follow each other through the trees. The inner ranks of one tree are leaves
// of the other, so every rank sends and receives about two vectors, whatever p is, in a logarithmic number of rounds.
//
//   4 ranks      tree 0, first half      tree 1, second half
//                    0                        3
//                     `---- 2            1 ----'
//                         1   3        0   2
//
// The trees have a channel each, so that neither waits for the other.
// Source: P. Sanders, J. Speck, J. L. Träff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan",
// Parallel Computing 35 (2009).
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/double_tree.h"
#include "algorithms/patterns/flat_cost.h"

namespace tutti::all_reduce_algorithms {
namespace {

void combine_upwards(Builder& b, const double_tree::Node& node, std::uint32_t chunk, std::uint16_t channel) {
  if (node.left != kNoRank || node.parent == kNoRank) b.copy(b.input(chunk), b.output(chunk));
  for (const Rank child : {node.left, node.right}) {
    if (child == kNoRank) continue;
    const Slice arrival = b.scratch_like(b.output(chunk));
    b.recv(child, arrival, channel);
    b.reduce(arrival, b.output(chunk));
  }
  if (node.parent != kNoRank) b.send(node.left != kNoRank ? b.output(chunk) : b.input(chunk), node.parent, channel);
}

void broadcast_downwards(Builder& b, const double_tree::Node& node, std::uint32_t chunk, std::uint16_t channel) {
  if (node.parent != kNoRank) b.recv(node.parent, b.output(chunk), channel);
  for (const Rank child : {node.left, node.right})
    if (child != kNoRank) b.send(b.output(chunk), child, channel);
}

}  // namespace

Schedule double_binary_tree(Rank me, const Shape& shape, const Chunking& chunking) {
  Builder b(Collective::all_reduce, "double_binary_tree", me, shape, 2 * chunking.pieces);
  const double_tree::Node nodes[] = {double_tree::node(0, me, shape.ranks), double_tree::node(1, me, shape.ranks)};
  for (const auto pass : {combine_upwards, broadcast_downwards})
    for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece)
      for (const std::uint16_t tree : {0, 1}) pass(b, nodes[tree], tree * chunking.pieces + piece, tree);
  return std::move(b).finish();
}

Cost double_binary_tree_cost(const Shape& shape, const Chunking& chunking) {
  const Rank p = shape.ranks;
  const auto depth = static_cast<std::uint64_t>(double_tree::depth(p)), pieces = std::uint64_t{chunking.pieces};
  // Up and down for the last piece, behind the pieces before it.
  const std::uint64_t rounds = p > 1 ? 2 * depth + pieces - 1 : 0;
  // From four ranks on some rank is an inner one with a parent and two children, and a leaf in the other tree.
  const std::uint64_t sent_per_piece = p >= 4 ? 4 : p == 3 ? 3 : p == 2 ? 2 : 0;
  const std::uint64_t reduced_per_piece = p >= 3 ? 2 : p == 2 ? 1 : 0;
  const auto tell = [&](Carried& network) {
    for (const int tree : {0, 1})
      for (Rank r = 0; r < p; ++r)
        if (const Rank parent = double_tree::node(tree, r, p).parent; parent != kNoRank) network.exchange(parent, r, pieces);
  };
  return flat_cost(2 * chunking.pieces, {.rounds = rounds,
                                         .path = rounds,
                                         .sent = sent_per_piece * pieces,
                                         .reduced = reduced_per_piece * pieces,
                                         .carried = carried(shape, tell),
                                         .posted = sent_per_piece * pieces});
}

}  // namespace tutti::all_reduce_algorithms
