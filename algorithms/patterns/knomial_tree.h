// K-nomial tree of contiguous ranges, for any number of ranks, any root and any radix k. A group is a range of ranks with one of
// them as its root. It splits into k parts of nearly one size (of one rank each where there are fewer than k): the near part
// keeps the root, and the first rank of every other part becomes its root and a child of the group's root; all parts split on.
// The ranks below a child are then always a range, so what they send or receive together is one slice whatever the root is, where
// a tree of rotated ranks would wrap around. With k = 2 it is the binomial tree; a larger k means fewer rounds with more messages
// each.
//
//   k = 2      0                  2           root 0: {0 1 | 2 3}, then {0 | 1} and {2 | 3}
//            /   \              /   \         root 2: {0 1 | 2 3}, then {2 | 3} and {0 | 1}
//           2     1            0     3
//           |                  |
//           3                  1
//
//   k = 3      0               root 0 of 9: {0 1 2 | 3 4 5 | 6 7 8}, then parts of one rank each
//        / / \   \ .
//       3  6  1   2
//      / \ |\ .
//     4  5 7 8
//
// Source: E. Chan et al. (2007), "minimum spanning tree" algorithms (k = 2); M. Wilkins et al., "Generalized Collective
// Algorithms for the Exascale Era", CLUSTER 2023 (any k).
#pragma once

#include <algorithm>
#include <cstdint>

#include "schedule/carried.h"
#include "tutti/types.h"

namespace tutti::knomial_tree {

struct Group {
  Rank root = 0, first = 0, size = 1;
  [[nodiscard]] constexpr bool contains(Rank r) const noexcept { return r >= first && r < first + size; }
  friend constexpr bool operator==(const Group&, const Group&) = default;
};

// How a group of `size` ranks splits: the first parts may have one rank more than the others.
class Split {
 public:
  constexpr Split(Rank size, Rank radix) noexcept
      : parts_(std::min(size, radix)), least_(size / parts_), larger_(size % parts_) {}
  [[nodiscard]] constexpr Rank parts() const noexcept { return parts_; }
  [[nodiscard]] constexpr Rank larger() const noexcept { return larger_; }  // how many parts have one more
  [[nodiscard]] constexpr Rank size(Rank part) const noexcept { return least_ + (part < larger_ ? 1 : 0); }
  [[nodiscard]] constexpr Rank begin(Rank part) const noexcept { return part * least_ + std::min(part, larger_); }
  // Which part has the rank so far behind the first.
  [[nodiscard]] constexpr Rank part_of(Rank offset) const noexcept {
    const Rank in_larger = larger_ * (least_ + 1);
    return offset < in_larger ? offset / (least_ + 1) : larger_ + (offset - in_larger) / least_;
  }

 private:
  Rank parts_, least_, larger_;
};

[[nodiscard]] constexpr Group part(const Group& group, const Split& split, Rank index) noexcept {
  const Rank first = group.first + split.begin(index);
  const Group part{first, first, split.size(index)};
  return part.contains(group.root) ? Group{group.root, first, part.size} : part;
}

struct Node {
  Rank parent = kNoRank;  // none at the root
  Group below;            // this rank and all ranks below it
  Rank radix = 2;
};
[[nodiscard]] constexpr Node find(Rank me, Rank root, Rank ranks, Rank radix = 2) noexcept {
  Node node{.parent = kNoRank, .below = {root, 0, ranks}, .radix = radix};
  while (node.below.root != me) {
    const Split split(node.below.size, radix);
    const Group next = part(node.below, split, split.part_of(me - node.below.first));
    if (next.root != node.below.root) node.parent = node.below.root;
    node.below = next;
  }
  return node;
}

// The groups of a node's children, those of larger groups first.
template <class Visit>
constexpr void for_each_child(const Node& node, Visit&& visit) {
  for (Group group = node.below; group.size > 1;) {
    const Split split(group.size, node.radix);
    const Rank near = split.part_of(group.root - group.first);
    for (Rank i = 0; i < split.parts(); ++i)
      if (i != near) visit(part(group, split, i));
    group = part(group, split, near);
  }
}

// Down the edges from a root, or up: chunks(group below), for each of them.
template <class Chunks>
void tell(Carried& network, Rank root, Rank ranks, Rank radix, Chunks&& chunks) {
  for (Rank r = 0; r < ranks; ++r)
    if (const Node node = find(r, root, ranks, radix); node.parent != kNoRank)
      network.message(node.parent, r, chunks(static_cast<std::uint64_t>(node.below.size)));
}

// What the longest and heaviest ways from a group's root are, and how many children any rank has.
struct Extremes {
  std::uint64_t depth = 0;     // edges from the root to its farthest descendant
  std::uint64_t heaviest = 0;  // largest sum of group sizes along the edges from the root to a leaf
  std::uint64_t children = 0;  // of the root
  std::uint64_t widest = 0;    // largest number of children of any rank
  std::uint64_t largest = 0;   // ranks in the largest group of a child of the root
};

namespace details {

// Of a group of `near` and others whose largest is `far`.
constexpr Extremes joined(const Extremes& near, const Extremes& far, Rank far_size, Rank parts) noexcept {
  const auto size = static_cast<std::uint64_t>(far_size);
  const std::uint64_t children = near.children + static_cast<std::uint64_t>(parts - 1);
  return {.depth = std::max(near.depth, far.depth + 1),
          .heaviest = std::max(near.heaviest, far.heaviest + size),
          .children = children,
          .widest = std::max({near.widest, far.widest, children}),
          .largest = std::max(near.largest, size)};
}

// Of groups of `size` and of `size + 1` ranks whose first is the root.
struct Neighbours {
  Extremes of_size, of_one_more;
};
constexpr Neighbours rooted_at_first(Rank size, Rank radix) noexcept {
  if (size == 0) return {};
  const Neighbours parts = rooted_at_first(size / radix, radix);
  const auto of = [&](Rank n) {
    if (n == 1) return Extremes{};
    const Split split(n, radix);
    const auto extremes = [&](Rank part) { return split.size(part) == size / radix ? parts.of_size : parts.of_one_more; };
    return joined(extremes(0), extremes(1), split.size(1), split.parts());
  };
  return {.of_size = of(size), .of_one_more = of(size + 1)};
}

}  // namespace details

[[nodiscard]] constexpr Extremes extremes(Rank root, Rank ranks, Rank radix = 2) noexcept {
  if (ranks == 1) return {};
  const Split split(ranks, radix);
  const Rank near = split.part_of(root), far_size = split.size(near == 0 ? 1 : 0);
  const Extremes far = details::rooted_at_first(far_size, radix).of_size;
  return details::joined(extremes(root - split.begin(near), split.size(near), radix), far, far_size, split.parts());
}

static_assert(find(3, 0, 4).parent == 2 && find(1, 2, 4).parent == 0 && find(0, 2, 4).below == Group{0, 0, 2});
static_assert(find(8, 0, 9, 3).parent == 6 && find(6, 0, 9, 3).parent == 0 && find(2, 4, 9, 3).below == Group{2, 2, 1});
static_assert(extremes(0, 1).depth == 0 && extremes(0, 4).depth == 2 && extremes(0, 3).depth == 1 && extremes(2, 3).depth == 2);
static_assert(extremes(0, 8).heaviest == 7 && extremes(0, 8).widest == 3 && extremes(4, 5).widest == 2);
static_assert(extremes(0, 9, 3).depth == 2 && extremes(0, 9, 3).widest == 4 && extremes(0, 9, 3).largest == 3);

}  // namespace tutti::knomial_tree
