// Folding: algorithms for 2^k ranks made to serve any number. Of p ranks, p - 2^k come too many; each of that many pairs
// at the front is folded into its even rank, which acts for both. Folded ranks ("cores") are numbered in rank order and stand for
// contiguous ranges, so an ordered algorithm stays ordered.
//
//   6 ranks      0   1   2   3   4   5
//   fold         0<--1   2<--3
//   cores        0       1       2   3
#pragma once

#include <algorithm>
#include <bit>

#include "tutti/types.h"

namespace tutti {

class Folding {
 public:
  constexpr explicit Folding(Rank ranks) noexcept
      : cores_(static_cast<Rank>(std::bit_floor(static_cast<std::uint32_t>(ranks)))), extra_(ranks - cores_) {}

  [[nodiscard]] constexpr Rank cores() const noexcept { return cores_; }
  // How many ranks are folded away.
  [[nodiscard]] constexpr Rank extra() const noexcept { return extra_; }

  // The rank that acts for a core; also the first of the ranks it stands for, so core c stands for [rank(c), rank(c + 1)).
  [[nodiscard]] constexpr Rank rank(Rank core) const noexcept { return core + std::min(core, extra_); }
  // kNoRank for a rank that is folded away.
  [[nodiscard]] constexpr Rank core(Rank rank) const noexcept {
    if (rank >= 2 * extra_) return rank - extra_;
    return rank % 2 == 0 ? rank / 2 : kNoRank;
  }
  // The other one of a folded pair, kNoRank for a rank that stands for itself.
  [[nodiscard]] constexpr Rank partner(Rank rank) const noexcept { return rank < 2 * extra_ ? rank ^ 1 : kNoRank; }

 private:
  Rank cores_, extra_;
};

static_assert(Folding(6).cores() == 4 && Folding(6).extra() == 2 && Folding(6).rank(1) == 2 && Folding(6).rank(2) == 4);
static_assert(Folding(6).core(1) == kNoRank && Folding(6).core(5) == 3 && Folding(6).partner(2) == 3);
static_assert(Folding(8).extra() == 0 && Folding(8).core(5) == 5 && Folding(8).partner(0) == kNoRank);

}  // namespace tutti
