// Bine tree (binomial, negabinary): a binomial tree whose edges are short, for any number of ranks. Its nodes stand on a line of
// positions; a group is a range of them with one as its root. A group splits in half: the near half keeps the root, and the far
// half is its mirror image, so that the two roots are as far from the border between the halves and stand in for each other
// there. Halves are added on alternate sides. For a power of two of ranks the root's children are then 1, -1, 3, -5, 11, ... (see
// patterns/negabinary.h) away from it, a third less than the 1, 2, 4, 8, 16, ... of a binomial tree.
//
//   8 positions     0   1   2   3   4   5   6   7        the root stands at 2
//   round 0                 o-----------5                {0 1 2 3 | 4 5 6 7}
//   round 1             1---o           5---6            {0 1 | 2 3}, {4 5 | 6 7}
//   round 2         0---1   o---3   4---5   6---7
//
// With any root the line is laid along the circle of ranks so that the root comes to stand in its place. What is below a rank is
// a range of positions, so an arc of ranks, and all are those of the binomial tree with its root at 0 (patterns/knomial_tree.h).
//
// Source: D. De Sensi et al., "Bine Trees: Enhancing Collective Operations by Optimizing Communication Locality", SC 2025, for
// powers of two; other numbers by uneven halves, where the mirror image of the root may be cut off and its neighbour stands in
// for it.
#pragma once

#include <algorithm>

#include "algorithms/patterns/arc.h"
#include "algorithms/patterns/logarithm.h"
#include "algorithms/patterns/ring.h"
#include "schedule/carried.h"

namespace tutti::bine_tree {

// The near half of a group of `size` has (size + 1) / 2 positions; whether the far one stands behind it, if it is not mirrored.
[[nodiscard]] constexpr bool far_is_behind(Rank size) noexcept { return ceil_log2(size) % 2 == 1; }

// Where the root stands in a group of `size` that is not mirrored.
[[nodiscard]] constexpr Rank root_of(Rank size) noexcept {
  Rank at = 0;
  for (; size > 1; size = (size + 1) / 2)
    if (!far_is_behind(size)) at += size / 2;
  return at;
}

struct Group {
  Rank first = 0, size = 1;
  bool mirrored = false;

  [[nodiscard]] constexpr Rank root() const noexcept { return first + (mirrored ? size - 1 - root_of(size) : root_of(size)); }
  [[nodiscard]] constexpr bool contains(Rank position) const noexcept { return position >= first && position < first + size; }
  friend constexpr bool operator==(const Group&, const Group&) = default;
};

struct Halves {
  Group near, far;
};
[[nodiscard]] constexpr Halves halves(const Group& group) noexcept {
  const Rank near = (group.size + 1) / 2, far = group.size / 2;
  if (far_is_behind(group.size) != group.mirrored)
    return {{group.first, near, group.mirrored}, {group.first + near, far, !group.mirrored}};
  return {{group.first + far, near, group.mirrored}, {group.first, far, !group.mirrored}};
}

// One rank's place in the tree of a root.
class Node {
 public:
  constexpr Node(Rank me, Rank root, Rank ranks) noexcept : shift_(root - root_of(ranks)), ranks_(ranks), below_{0, ranks} {
    const Rank position = ring::shift(me, -shift_, ranks);
    while (below_.root() != position) {
      const auto [near, far] = halves(below_);
      if (far.contains(position)) parent_ = below_.root();
      below_ = far.contains(position) ? far : near;
    }
  }

  // kNoRank at the root.
  [[nodiscard]] constexpr Rank parent() const noexcept { return parent_ == kNoRank ? kNoRank : rank_at(parent_); }
  // This rank and all ranks below it.
  [[nodiscard]] constexpr Arc below() const noexcept { return arc(below_); }

  // visit(child, what is below it), those with more below them first.
  template <class Visit>
  constexpr void for_each_child(Visit&& visit) const {
    for (Group group = below_; group.size > 1;) {
      const auto [near, far] = halves(group);
      visit(rank_at(far.root()), arc(far));
      group = near;
    }
  }

 private:
  [[nodiscard]] constexpr Rank rank_at(Rank position) const noexcept { return ring::shift(position, shift_, ranks_); }
  [[nodiscard]] constexpr Arc arc(const Group& group) const noexcept { return {rank_at(group.first), group.size}; }

  Rank shift_, ranks_;
  Group below_;
  Rank parent_ = kNoRank;  // a position
};

// Down the edges from a root, or up: chunks(ranks below), for each of them.
template <class Chunks>
void tell(Carried& network, Rank root, Rank ranks, Chunks&& chunks) {
  for (Rank r = 0; r < ranks; ++r)
    if (const Node node(r, root, ranks); node.parent() != kNoRank)
      network.message(node.parent(), r, chunks(static_cast<std::uint64_t>(node.below().size)));
}

static_assert(root_of(1) == 0 && root_of(2) == 0 && root_of(4) == 2 && root_of(8) == 2 && root_of(16) == 10 && root_of(32) == 10);
static_assert(Group{0, 8}.root() == 2 && halves({0, 8}).far.root() == 5 && halves({0, 4}).far.root() == 1);
static_assert(Node(3, 0, 8).parent() == 0 && Node(7, 0, 8).parent() == 0 && Node(4, 0, 8).parent() == 3);
static_assert(Node(2, 0, 8).parent() == 3 && Node(0, 0, 8).parent() == kNoRank && Node(0, 5, 8).parent() == 5);
static_assert(Node(0, 0, 1).below().size == 1 && Node(1, 0, 2).parent() == 0 && Node(1, 1, 3).parent() == kNoRank);

}  // namespace tutti::bine_tree
