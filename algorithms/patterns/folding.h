// Folding: algorithms for a number of ranks that is a product of small factors (see patterns/factors.h), such as 2^k, made to
// serve any number. The ranks beyond that product come too many; each of that many pairs at the front is folded into its even
// rank, which acts for both. Folded ranks ("cores") are numbered in rank order and stand for contiguous ranges, so an ordered
// algorithm stays ordered.
//
//   6 ranks, radix 2     0   1   2   3   4   5
//   fold                 0<--1   2<--3
//   cores                0       1       2   3
#pragma once

#include <algorithm>
#include <ranges>

#include "algorithms/patterns/factors.h"

namespace tutti {

class Folding {
 public:
  constexpr explicit Folding(Rank ranks, Rank radix = 2) noexcept
      : factors_(factors_within(ranks, radix)), extra_(ranks - factors_.product()) {}

  [[nodiscard]] constexpr Rank cores() const noexcept { return factors_.product(); }
  [[nodiscard]] constexpr const Factors& factors() const noexcept { return factors_; }  // of the number of cores
  // How many ranks are folded away; no more than there are cores.
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

  // What a core sends the others that it meets, and receives from them.
  [[nodiscard]] constexpr std::uint64_t messages() const noexcept {
    std::uint64_t messages = 0;
    for (const Rank factor : factors_) messages += static_cast<std::uint64_t>(factor - 1);
    return messages;
  }

  // The longest chains of messages start at a core with a pair (one of the first `extra`) and change every digit of its number.
  // The lowest core that they get to; they end with a message to its pair if it has one, too.
  [[nodiscard]] constexpr Rank lowest_end_of_chain() const noexcept {
    Rank end = 0, stride = cores(), start = std::max(extra_ - 1, 0);
    for (const Rank factor : std::views::reverse(factors_)) {
      stride /= factor;
      const Rank digit = start / stride;  // of the last core with a pair; a lower digit leaves those behind it free
      if (digit > 1) break;
      if (digit == 0) end += stride;
      start %= stride;
    }
    return end;
  }
  [[nodiscard]] constexpr bool chain_ends_with_pair() const noexcept { return lowest_end_of_chain() < extra_; }

 private:
  Factors factors_;
  Rank extra_;
};

// visit(core, other, stride) for all pairs of cores whose numbers differ in the digit that counts for `stride`, both ways round.
template <class Visit>
void for_each_pair(const Folding& folding, Visit&& visit) {
  Rank stride = 1;
  for (const Rank factor : folding.factors()) {
    for (Rank core = 0; core < folding.cores(); ++core) {
      const Rank own = core / stride % factor;
      for (Rank digit = 0; digit < factor; ++digit)
        if (digit != own) visit(core, core + (digit - own) * stride, stride);
    }
    stride *= factor;
  }
}

static_assert(Folding(6).cores() == 4 && Folding(6).extra() == 2 && Folding(6).rank(1) == 2 && Folding(6).rank(2) == 4);
static_assert(Folding(6).core(1) == kNoRank && Folding(6).core(5) == 3 && Folding(6).partner(2) == 3);
static_assert(Folding(8).extra() == 0 && Folding(8).core(5) == 5 && Folding(8).partner(0) == kNoRank);
static_assert(Folding(7, 3).cores() == 6 && Folding(7, 7).extra() == 0 && Folding(11, 4).cores() == 8);
static_assert(Folding(6).lowest_end_of_chain() == 2 && Folding(7).lowest_end_of_chain() == 1 &&
              Folding(7).chain_ends_with_pair());

}  // namespace tutti
