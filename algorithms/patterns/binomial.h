// Binomial tree over contiguous ranges of ranks: the subtree of v is [v, v + lowest set bit of v), so what a subtree combines
// is in rank order. The parent is v without its lowest set bit.
//
//          0                 rounds of a reduction, leaves first:
//        / | \ .             1->0  3->2  5->4  7->6
//       1  2  4                2->0        6->4
//          |  | \ .                 4->0
//          3  5  6
//                |
//                7
//
// Rooted at 0; a caller with another root rotates its ranks, or keeps the rank order with ordered_parent.
#pragma once

#include <algorithm>
#include <bit>

#include "algorithms/patterns/logarithm.h"

namespace tutti::binomial {

[[nodiscard]] constexpr Rank parent(Rank v) noexcept { return v == 0 ? kNoRank : v & (v - 1); }

// v's children are v + 1, v + 2, v + 4, ...: this many of them.
[[nodiscard]] constexpr int children(Rank v, Rank ranks) noexcept {
  const Rank behind = ranks - 1 - v;  // ranks that come after v
  const int by_size = behind == 0 ? 0 : floor_log2(behind) + 1;
  return v == 0 ? by_size : std::min(by_size, std::countr_zero(static_cast<std::uint32_t>(v)));
}
[[nodiscard]] constexpr Rank child(Rank v, int k) noexcept { return v + (Rank{1} << k); }

// How many ranks the subtree of v has: it is [v, v + subtree(v)).
[[nodiscard]] constexpr Rank subtree(Rank v, Rank ranks) noexcept { return v == 0 ? ranks : std::min(v & -v, ranks - v); }

// Edges from the root to the deepest leaf.
[[nodiscard]] constexpr int depth(Rank ranks) noexcept { return floor_log2(ranks); }

// The same contiguous ranges with any rank as the root. At level k the ranks form aligned blocks of 2^k, each held by its
// lowest rank, or by the root if it is inside; a block's two halves meet at its holder. For root 2 of 4:
//
//   level 0     0   1   2   3
//   level 1     0<--1   2<--3
//   level 2     0------>2           0 holds lower ranks than 2 does, so it is the left operand
[[nodiscard]] constexpr Rank holder(Rank block_begin, int level, Rank root) noexcept {
  return root >> level == block_begin >> level ? root : block_begin;
}

// The block of 2^level ranks that meets, at that level, the one v is in.
[[nodiscard]] constexpr Rank sibling_begin(Rank v, int level) noexcept { return ((v >> level) ^ 1) << level; }

// The level at which v hands its block on; ceil_log2(ranks) for the root.
[[nodiscard]] constexpr int hands_on_at(Rank v, Rank ranks, Rank root) noexcept {
  int level = 0;
  while (level < ceil_log2(ranks) && holder(v >> (level + 1) << (level + 1), level + 1, root) == v) ++level;
  return level;
}

static_assert(parent(6) == 4 && parent(7) == 6 && parent(0) == kNoRank);
static_assert(children(0, 8) == 3 && children(4, 8) == 2 && children(4, 6) == 1 && children(7, 8) == 0 && child(4, 1) == 6);
static_assert(subtree(4, 8) == 4 && subtree(4, 6) == 2 && subtree(0, 6) == 6);
static_assert(hands_on_at(0, 4, 2) == 1 && hands_on_at(2, 4, 2) == 2 && hands_on_at(3, 4, 2) == 0 && hands_on_at(0, 1, 0) == 0);

}  // namespace tutti::binomial
