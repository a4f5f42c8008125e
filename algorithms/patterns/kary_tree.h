// Complete k-ary tree: node v's children are kv+1, ..., kv+k. Every node but the last inner one has k children or none, so what
// is cut into pieces flows through all levels at once, k times the vector out of (or into) an inner node.
//
//   k = 2      0
//            /   \ .
//           1     2
//          / \   /
//         3   4 5
#pragma once

#include <algorithm>
#include <cstdint>

#include "algorithms/patterns/ring.h"
#include "schedule/carried.h"
#include "tutti/types.h"

namespace tutti::kary_tree {

[[nodiscard]] constexpr Rank parent(Rank v, Rank radix) noexcept { return v == 0 ? kNoRank : (v - 1) / radix; }

// visit(child), in ascending order.
template <class Visit>
constexpr void for_each_child(Rank v, Rank ranks, Rank radix, Visit&& visit) {
  const std::int64_t first = std::int64_t{v} * radix + 1, end = std::min<std::int64_t>(first + radix, ranks);
  for (std::int64_t child = first; child < end; ++child) visit(static_cast<Rank>(child));
}

// Edges from the root to the deepest leaf, which the last node is.
[[nodiscard]] constexpr std::uint64_t depth(Rank ranks, Rank radix) noexcept {
  std::uint64_t depth = 0;
  for (Rank v = ranks - 1; v > 0; v = parent(v, radix)) ++depth;
  return depth;
}

[[nodiscard]] constexpr std::uint64_t most_children(Rank ranks, Rank radix) noexcept {
  return static_cast<std::uint64_t>(std::min(radix, ranks - 1));
}

// Down the edges from a root, or up.
inline void tell(Carried& network, Rank root, Rank ranks, Rank radix, std::uint64_t chunks) {
  for (Rank v = 1; v < ranks; ++v)
    network.message(ring::shift(root, parent(v, radix), ranks), ring::shift(root, v, ranks), chunks);
}

static_assert(parent(5, 2) == 2 && parent(0, 2) == kNoRank && parent(6, 3) == 1);
static_assert(depth(1, 2) == 0 && depth(3, 2) == 1 && depth(4, 2) == 2 && depth(13, 3) == 2 && depth(14, 3) == 3);
static_assert(most_children(1, 4) == 0 && most_children(3, 4) == 2 && most_children(9, 4) == 4);

}  // namespace tutti::kary_tree
