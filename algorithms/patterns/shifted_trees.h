// Shifted trees: a binomial tree for the block of every rank, all of one form. A rank is named by its offset, the way from the
// tree's root along the circle of ranks. In the round with distance d (a power of two, far to near) every offset that is a
// multiple of 2d gets a child d further on, unless that would be all the way round; so no rank ever gets a block twice.
//
//   7 ranks     0                   d = 4: 4 below 0
//             / | \ .               d = 2: 2 below 0, 6 below 4
//            4  2  1                d = 1: 1 below 0, 5 below 4, 3 below 2
//           / \  \ .
//          6   5  3
//
// A rank stands in all trees at once, at another offset in each. Slots are an order of its blocks, equal on all ranks, in which
// the blocks of a round are one range at both ends: at most the largest offset goes without a child, so it is kept at the very
// end, and the children of a round come before all others where it is left out and behind them where it is not.
//
//   slots after d = 4      0 4
//   slots after d = 2      0 4 2 6
//   slots after d = 1      1 5 3 0 4 2 6       6 was left out
#pragma once

#include <vector>

#include "algorithms/patterns/logarithm.h"
#include "algorithms/patterns/ring.h"
#include "schedule/carried.h"

namespace tutti {

// Of p ranks, one is at offset 0: floor((p-1)/d) multiples of d follow, of which every second one is a child.
[[nodiscard]] constexpr Rank children_at_distance(Rank distance, Rank ranks) noexcept { return ((ranks - 1) / distance + 1) / 2; }
// Whether the largest multiple of 2 * distance has no child.
[[nodiscard]] constexpr bool leaves_one_out(Rank distance, Rank ranks) noexcept { return ((ranks - 1) & distance) == 0; }
[[nodiscard]] constexpr Rank farthest_distance(Rank ranks) noexcept { return (Rank{1} << ceil_log2(ranks)) / 2; }

// A block of each rank goes down its tree, or up.
inline void tell_shifted_trees(Carried& network, Rank ranks) {
  for (Rank d = farthest_distance(ranks); d > 0; d /= 2)
    network.shift(d, static_cast<std::uint64_t>(children_at_distance(d, ranks)));
}

class ShiftedTrees {
 public:
  // Slots [parents, parents + count) of a rank belong to [children, children + count) of the one `distance` further on.
  struct Round {
    Rank distance;
    std::uint32_t parents, children, count;
  };

  explicit ShiftedTrees(Rank ranks) : ranks_(ranks), offset_(static_cast<std::size_t>(ranks)) {
    for (Rank d = farthest_distance(ranks); d > 0; d /= 2)
      if (leaves_one_out(d, ranks)) root_ += count(d);
    std::uint32_t begin = root_, end = root_ + 1;
    for (Rank d = farthest_distance(ranks); d > 0; d /= 2) {
      const bool in_front = leaves_one_out(d, ranks);
      const Round round{.distance = d, .parents = begin, .children = in_front ? begin - count(d) : end, .count = count(d)};
      for (std::uint32_t i = 0; i < round.count; ++i) offset_[round.children + i] = offset_[round.parents + i] + d;
      (in_front ? begin : end) = in_front ? round.children : end + round.count;
      rounds_.push_back(round);
    }
  }

  [[nodiscard]] const std::vector<Round>& rounds() const noexcept { return rounds_; }  // far to near
  [[nodiscard]] std::uint32_t root() const noexcept { return root_; }                  // the slot of a rank's own block
  [[nodiscard]] std::uint32_t slots() const noexcept { return static_cast<std::uint32_t>(ranks_); }
  // Whose block lies there.
  [[nodiscard]] std::uint32_t block(std::uint32_t slot, Rank me) const {
    return static_cast<std::uint32_t>(ring::shift(me, -offset_[slot], ranks_));
  }

  // The chain of one message per round, from far to near or back. The farthest child's message is no part of it where that
  // child is left out in the next round.
  struct Chain {
    std::uint64_t rounds = 0, path = 0;
  };
  [[nodiscard]] static Chain longest_chain(Rank ranks) noexcept {
    const Rank second = farthest_distance(ranks) / 2;
    const auto apart = std::uint64_t{second > 0 && leaves_one_out(second, ranks)};
    return {.rounds = static_cast<std::uint64_t>(ceil_log2(ranks)) - apart,
            .path = static_cast<std::uint64_t>(ranks - 1) - apart};
  }

 private:
  [[nodiscard]] std::uint32_t count(Rank distance) const noexcept {
    return static_cast<std::uint32_t>(children_at_distance(distance, ranks_));
  }

  Rank ranks_;
  std::uint32_t root_ = 0;
  std::vector<Rank> offset_;  // by slot
  std::vector<Round> rounds_;
};

static_assert(children_at_distance(4, 7) == 1 && children_at_distance(2, 7) == 2 && children_at_distance(1, 7) == 3);
static_assert(leaves_one_out(1, 7) && !leaves_one_out(2, 7) && leaves_one_out(2, 5));
static_assert(farthest_distance(1) == 0 && farthest_distance(2) == 1 && farthest_distance(5) == 4 && farthest_distance(8) == 4);

}  // namespace tutti
