// Several spanning trees, each on a channel of its own, that share the data in proportion to their weights (Shape::routes).
// Without routes: two binary trees, in the order of ranks and backwards.
//
//   two trees, weight 1 each     channel 0: 0 -> 1, 0 -> 2, 1 -> 3      the first half
//                                channel 1: 3 -> 2, 3 -> 1, 2 -> 0      the second half
//
// Source: G. Wang et al., "Blink: Fast and Generic Collectives for Distributed ML", MLSys 2020.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "algorithms/patterns/multi_ring.h"

namespace tutti::packed_trees {

// Rank v below (v - 1) / 2, or with ranks counted backwards.
[[nodiscard]] inline Tree binary(Rank ranks, bool backwards) {
  Tree tree;
  for (Rank r = 0; r < ranks; ++r) {
    const Rank v = backwards ? ranks - 1 - r : r, above = (v - 1) / 2;
    tree.parent.push_back(v == 0 ? kNoRank : backwards ? ranks - 1 - above : above);
  }
  return tree;
}

[[nodiscard]] inline std::vector<Tree> trees(const Shape& shape) {
  if (shape.routes != nullptr && !shape.routes->trees.empty()) return shape.routes->trees;
  return {binary(shape.ranks, false), binary(shape.ranks, true)};
}

// The same edges hanging from another rank: those on the way to the old root turn round.
[[nodiscard]] inline Tree hung_from(Tree tree, Rank root) {
  Rank child = kNoRank;
  for (Rank r = root; r != kNoRank;) {
    const Rank parent = std::exchange(tree.parent[static_cast<std::size_t>(r)], child);
    child = std::exchange(r, parent);
  }
  return tree;
}

[[nodiscard]] inline std::vector<Tree> trees_from(const Shape& shape) {
  std::vector<Tree> all = trees(shape);
  for (Tree& tree : all) tree = hung_from(std::move(tree), shape.root);
  return all;
}

// What one rank sees of one tree, and its part of the data: `weight` chunks for each piece, beginning at chunk `first`.
struct Node {
  Rank parent = kNoRank;
  std::vector<Rank> children = {};
  std::uint32_t first = 0, weight = 1;
  std::uint16_t channel = 0;

  [[nodiscard]] std::uint32_t chunk(std::uint32_t piece) const noexcept { return first + piece * weight; }
};

[[nodiscard]] inline std::vector<Node> nodes(const std::vector<Tree>& trees, Rank me, std::uint32_t pieces) {
  std::vector<Node> result;
  std::uint32_t before = 0;
  for (const Tree& tree : trees) {
    Node node{.parent = tree.parent[static_cast<std::size_t>(me)], .first = before * pieces, .weight = tree.weight};
    node.channel = static_cast<std::uint16_t>(result.size());
    for (std::size_t r = 0; r < tree.parent.size(); ++r)
      if (tree.parent[r] == me) node.children.push_back(static_cast<Rank>(r));
    result.push_back(std::move(node));
    before += tree.weight;
  }
  return result;
}

// Pieces go through each tree `ways` times, one behind the other.
struct Measures {
  std::uint64_t rounds = 0, path = 0;
  std::uint64_t most_down = 0;     // chunks per piece that the rank with the heaviest children sends them all
  std::uint64_t most_through = 0;  // with what it sends to its parents
  std::uint64_t posted = 0;        // LevelCost::posted
  std::uint32_t weights = 0;
};

[[nodiscard]] inline Measures measure(const std::vector<Tree>& trees, std::uint64_t pieces, std::uint64_t ways) {
  Measures m{.weights = multi_ring::weights(trees).sum};
  const std::size_t ranks = trees.front().parent.size();
  std::vector<std::uint64_t> down(ranks, 0), through(ranks, 0), children(ranks, 0), parents(ranks, 0);
  for (const Tree& tree : trees) {
    const std::uint64_t rounds = ranks > 1 ? ways * depth(tree.parent) + pieces - 1 : 0;
    m.rounds = std::max(m.rounds, rounds);
    m.path = std::max(m.path, rounds * tree.weight);
    for (std::size_t r = 0; r < ranks; ++r) {
      if (tree.parent[r] == kNoRank) continue;
      const auto parent = static_cast<std::size_t>(tree.parent[r]);
      ++children[parent], ++parents[r];
      down[parent] += tree.weight;
      through[parent] += tree.weight;
      through[r] += tree.weight;
    }
  }
  for (std::size_t r = 0; r < ranks; ++r)
    m.posted = std::max(m.posted, pieces * (ways > 1 ? children[r] + parents[r] : std::max(children[r], parents[r])));
  m.most_down = *std::max_element(down.begin(), down.end());
  m.most_through = *std::max_element(through.begin(), through.end());
  return m;
}

// The pieces of one tree on their way down.
inline void send_down(Builder& b, const Node& node, std::uint32_t piece, bool from_input) {
  const std::uint32_t chunk = node.chunk(piece);
  if (node.parent != kNoRank) b.recv(node.parent, b.output(chunk, node.weight), node.channel);
  for (const Rank child : node.children)
    b.send(from_input ? b.input(chunk, node.weight) : b.output(chunk, node.weight), child, node.channel);
}

// And on their way up, combined where they meet; at the root of the tree into the output.
inline void combine_up(Builder& b, const Node& node, std::uint32_t piece, bool in_output) {
  const std::uint32_t chunk = node.chunk(piece);
  const Slice mine = b.input(chunk, node.weight);
  if (node.children.empty() && node.parent != kNoRank) return b.send(mine, node.parent, node.channel);
  const Slice sum = in_output || node.parent == kNoRank ? b.output(chunk, node.weight) : b.scratch_like(mine);
  b.copy(mine, sum);
  for (const Rank child : node.children) {
    const Slice arrival = b.scratch_like(mine);
    b.recv(child, arrival, node.channel);
    b.reduce(arrival, sum);
  }
  if (node.parent != kNoRank) b.send(sum, node.parent, node.channel);
}

}  // namespace tutti::packed_trees
