// Halving tree: the binomial tree of contiguous ranges, for any number of ranks and any root. A group is a range of ranks
// with one of them as its root. It splits into a near half, which keeps the root, and a far half, whose first rank becomes
// its root and a child of the group's root; both halves split on. The ranks below a child are then always a range, so what
// they send or receive together is one slice whatever the root is, where a tree of rotated ranks would wrap around.
//
//          0                  2           root 0: {0 1 | 2 3}, far half {2 3}, then {0 | 1} and {2 | 3}
//        /   \              /   \         root 2: {0 1 | 2 3}, far half {0 1}, then {2 | 3} and {0 | 1}
//       2     1            0     3
//       |                  |
//       3                  1
//
// Source: E. Chan et al. (2007), "minimum spanning tree" algorithms.
#pragma once

#include <bit>
#include <cstdint>

#include "tutti/types.h"

namespace tutti::halving_tree {

struct Group {
  Rank root = 0, first = 0, size = 1;
  [[nodiscard]] constexpr bool contains(Rank r) const noexcept { return r >= first && r < first + size; }
  friend constexpr bool operator==(const Group&, const Group&) = default;
};

struct Halves {
  Group near, far;
};
// For groups of at least two. The lower half is the larger one.
[[nodiscard]] constexpr Halves split(const Group& group) noexcept {
  const Rank low_size = (group.size + 1) / 2, high = group.first + low_size;
  const Group low{group.first, group.first, low_size}, high_half{high, high, group.size - low_size};
  if (group.root < high) return {.near = {group.root, low.first, low.size}, .far = high_half};
  return {.near = {group.root, high_half.first, high_half.size}, .far = low};
}

struct Node {
  Rank parent = kNoRank;  // none at the root
  Group below;            // this rank and all ranks below it
};
[[nodiscard]] constexpr Node find(Rank me, Rank root, Rank ranks) noexcept {
  Node node{.parent = kNoRank, .below = {root, 0, ranks}};
  while (node.below.root != me) {
    const Halves halves = split(node.below);
    if (halves.far.contains(me)) node.parent = node.below.root;
    node.below = halves.far.contains(me) ? halves.far : halves.near;
  }
  return node;
}

// The groups of a node's children, largest first.
template <class Visit>
constexpr void for_each_child(const Node& node, Visit&& visit) {
  for (Group group = node.below; group.size > 1;) {
    const Halves halves = split(group);
    visit(halves.far);
    group = halves.near;
  }
}

// Closed forms. Below, the root's largest child is where everything longest and heaviest happens.
[[nodiscard]] constexpr Rank largest_child(Rank root, Rank ranks) noexcept {
  return ranks == 1 ? 0 : split({root, 0, ranks}).far.size;
}
// Edges between the root and its farthest descendant.
[[nodiscard]] constexpr std::uint64_t depth(Rank root, Rank ranks) noexcept {
  return static_cast<std::uint64_t>(std::bit_width(static_cast<std::uint32_t>(largest_child(root, ranks))));
}
// Largest sum of group sizes along the edges from the root to a leaf: b + b/2 + b/4 + ... for a largest child of b.
[[nodiscard]] constexpr std::uint64_t heaviest_path(Rank root, Rank ranks) noexcept {
  const auto b = static_cast<std::uint32_t>(largest_child(root, ranks));
  return 2 * static_cast<std::uint64_t>(b) - static_cast<std::uint64_t>(std::popcount(b));
}
// Largest number of children of any rank.
[[nodiscard]] constexpr std::uint64_t widest(Rank root, Rank ranks) noexcept {
  const auto below_root = static_cast<std::uint64_t>([&] {
    Rank children = 0;
    for_each_child(find(root, root, ranks), [&](const Group&) { ++children; });
    return children;
  }());
  if (ranks == 1) return below_root;
  const auto below_child =
      std::bit_width(static_cast<std::uint32_t>(largest_child(root, ranks)) - 1);  // a first rank: ceil(log2)
  return below_root > static_cast<std::uint64_t>(below_child) ? below_root : static_cast<std::uint64_t>(below_child);
}

static_assert(find(3, 0, 4).parent == 2 && find(1, 2, 4).parent == 0 && find(0, 2, 4).below == Group{0, 0, 2});
static_assert(depth(0, 1) == 0 && depth(0, 4) == 2 && depth(0, 3) == 1 && depth(2, 3) == 2 && heaviest_path(0, 8) == 7);
static_assert(widest(0, 1) == 0 && widest(0, 8) == 3 && widest(0, 5) == 3 && widest(4, 5) == 2);

}  // namespace tutti::halving_tree
