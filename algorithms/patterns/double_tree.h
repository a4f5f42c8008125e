// Double binary tree: two binary trees over the same ranks, each carrying half of the data. The inner ranks of one are leaves of
// the other, so every rank sends and receives about the same. (One rank has a single child in both when p is odd.)
//
//   tree 0, 8 ranks: in order below rank 0           tree 1: the same, mirrored (p even) or shifted by one (p odd)
//       0                                                                7
//        `---- 4 ----.                                          .---- 3 ----'
//          .- 2 -. .- 6 -.                                  .- 1 -. .- 5 -.
//          1     3 5     7                                  0     2 4     6
//
// Source: P. Sanders, J. Speck, J. L. Träff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan",
// Parallel Computing 35 (2009).
#pragma once

#include "algorithms/patterns/logarithm.h"
#include "algorithms/patterns/ring.h"

namespace tutti::double_tree {

// kNoRank where there is none; `left` is there if `right` is.
struct Node {
  Rank parent = kNoRank;
  Rank left = kNoRank;
  Rank right = kNoRank;
  friend constexpr bool operator==(const Node&, const Node&) = default;
};

// A node of tree 0. An inner node v with lowest set bit b has the subtree (v - b, v + b).
[[nodiscard]] constexpr Node in_order_node(Rank v, Rank ranks) noexcept {
  if (v == 0) return {.left = ranks > 1 ? Rank{1} << (ceil_log2(ranks) - 1) : kNoRank};
  const Rank bit = v & -v;
  Node node;
  const Rank above = (v ^ bit) | (bit << 1);
  node.parent = above < ranks ? above : v ^ bit;
  if (bit == 1) return node;
  node.left = v - bit / 2;
  for (Rank half = bit / 2; half > 0 && node.right == kNoRank; half /= 2)
    if (v + half < ranks) node.right = v + half;
  return node;
}

// tree is 0 or 1.
[[nodiscard]] constexpr Node node(int tree, Rank me, Rank ranks) noexcept {
  if (tree == 0) return in_order_node(me, ranks);
  const bool mirror = ranks % 2 == 0;
  const auto place = [&](Rank v) {
    if (v == kNoRank) return kNoRank;
    return mirror ? ranks - 1 - v : ring::right(v, ranks);
  };
  const Node n = in_order_node(mirror ? ranks - 1 - me : ring::left(me, ranks), ranks);
  return {.parent = place(n.parent), .left = place(n.left), .right = place(n.right)};
}

[[nodiscard]] constexpr Rank root(int tree, Rank ranks) noexcept {
  if (tree == 0 || ranks == 1) return 0;
  return ranks % 2 == 0 ? ranks - 1 : 1;
}

// Edges from the root to the deepest leaf, in either tree.
[[nodiscard]] constexpr int depth(Rank ranks) noexcept { return ceil_log2(ranks); }

static_assert(node(0, 4, 8) == Node{0, 2, 6} && node(0, 0, 8) == Node{kNoRank, 4, kNoRank} && node(0, 7, 8) == Node{6, -1, -1});
static_assert(node(1, 3, 8) == Node{7, 5, 1} && node(1, 7, 8) == Node{kNoRank, 3, kNoRank});
static_assert(node(0, 4, 6) == Node{0, 2, 5} && node(1, 0, 5) == Node{1, 3, kNoRank});

}  // namespace tutti::double_tree
