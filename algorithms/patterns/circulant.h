// Circulant graph: who talks to whom when arcs of blocks shrink from all p of them to one, or grow from one to all, for any p.
// A span is halved, rounded up, until it is 1. Each halving is a round: `skip`, the smaller span, is how far away on the circle
// the two peers of a rank are, to the right and to the left, and `size`, what the larger span has more, how many blocks travel.
//
//   11 ranks      spans 11 6 3 2 1       skips 6 3 2 1, sizes 5 3 1 1: ceil(log2 p) rounds and p-1 blocks together
//
// Source: J. L. Träff, "Optimal, Non-pipelined Reduce-scatter and Allreduce Algorithms" (2024), arXiv 2410.14234.
#pragma once

#include <cstdint>

#include "algorithms/patterns/logarithm.h"
#include "schedule/carried.h"

namespace tutti::circulant {

[[nodiscard]] constexpr int rounds(Rank ranks) noexcept { return ceil_log2(ranks); }

struct Round {
  Rank skip = 0, size = 0;
  friend constexpr bool operator==(const Round&, const Round&) = default;
};
// Of a shrinking span, numbered from 0.
[[nodiscard]] constexpr Round round(Rank ranks, int number) noexcept {
  const auto span = [ranks](int halvings) { return ((ranks - 1) >> halvings) + 1; };
  const Rank skip = span(number + 1);
  return {.skip = skip, .size = span(number) - skip};
}

// Such a scatter or gather of blocks of so many chunks.
inline void tell(Carried& network, Rank ranks, std::uint64_t chunks) {
  for (int number = 0; number < rounds(ranks); ++number)
    network.shift(round(ranks, number).skip, static_cast<std::uint64_t>(round(ranks, number).size) * chunks);
}

// LevelCost::posted of such a gather, scatter, and scatter with a gather behind it, where blocks lie on a line and an arc that
// wraps is two messages. The last rank's own arc, which it sends from, wraps whenever it has more than one block; a scatter has
// blocks on the line in its first round only.
[[nodiscard]] constexpr std::uint64_t posted(Rank ranks) noexcept {
  std::uint64_t messages = 0;
  for (int number = 0; number < rounds(ranks); ++number) messages += round(ranks, number).size > 1 ? 2 : 1;
  return messages;
}
[[nodiscard]] constexpr std::uint64_t posted_scattering(Rank ranks) noexcept {
  return static_cast<std::uint64_t>(rounds(ranks)) + (ranks > 1 && round(ranks, 0).size > 1 ? 1 : 0);
}
[[nodiscard]] constexpr std::uint64_t posted_both_ways(Rank ranks) noexcept {
  return posted(ranks) + static_cast<std::uint64_t>(rounds(ranks));
}

// The longest chain of messages, which is also the heaviest. A span of 3 is the one case in which two rounds in a row, of one
// block each, do not wait for each other.
struct Chain {
  std::uint64_t rounds = 0, path = 0;
  friend constexpr bool operator==(const Chain&, const Chain&) = default;
};
[[nodiscard]] constexpr Chain longest_chain(Rank ranks) noexcept {
  const int all = rounds(ranks);
  const bool has_span_of_3 = all >= 2 && (ranks - 1) >> (all - 2) == 2;
  const int spared = has_span_of_3 ? 1 : 0;
  return {.rounds = static_cast<std::uint64_t>(all - spared), .path = static_cast<std::uint64_t>(ranks - 1 - spared)};
}

static_assert(round(11, 0) == Round{6, 5} && round(11, 1) == Round{3, 3} && round(11, 3) == Round{1, 1} && rounds(11) == 4);
static_assert(longest_chain(1) == Chain{0, 0} && longest_chain(3) == Chain{1, 1} && longest_chain(8) == Chain{3, 7});

}  // namespace tutti::circulant
