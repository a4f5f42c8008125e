// Doubling over ranges, for any number of ranks: who swaps what with whom so that everybody ends up with what all had. A group
// is a range of ranks; all of a group hold all that the group had. Groups of one become larger by merging a `low` and a
// `high` half that lie side by side: each rank of one half sends all it holds to its partner in the other. Seen from the
// whole, a group of n has halves of ceil(n/2) and floor(n/2) ranks, so ceil(log2 p) rounds are enough for any p. Where n is
// odd, low's first rank has no partner and is served by high's first rank, which is often without a partner itself.
//
//   4 ranks                            3 ranks
//   round 0    0 <--> 1    2 <--> 3    0 <--> 1
//   round 1    0 <-------> 2           1 <--> 2, 2 --> 0
//              1 <-------> 3
#pragma once

#include <algorithm>

#include "algorithms/patterns/logarithm.h"

namespace tutti::doubling {

struct Range {
  Rank first = 0, size = 1;
  friend constexpr bool operator==(const Range&, const Range&) = default;
};

// What one rank does in one round: up to two sends of what its half holds, one receive of what the other half holds.
struct Exchange {
  Range mine, other;
  Rank partner = kNoRank;   // sends `other` to me; gets `mine` from me unless I have no partner
  Rank unpaired = kNoRank;  // gets `mine` from me as well
  bool paired = true;
  friend constexpr bool operator==(const Exchange&, const Exchange&) = default;
};

[[nodiscard]] constexpr Exchange exchange(Rank me, Range group) noexcept {
  const Range low{group.first, (group.size + 1) / 2}, high{group.first + low.size, group.size - low.size};
  const Rank shift = low.size - high.size;  // 0 or 1: low's ranks without a partner
  if (me >= high.first)
    return {.mine = high,
            .other = low,
            .partner = me - high.first + low.first + shift,
            .unpaired = shift == 1 && me == high.first ? low.first : kNoRank};
  const bool paired = me - low.first >= shift;
  return {.mine = low, .other = high, .partner = paired ? me - low.first - shift + high.first : high.first, .paired = paired};
}

// The exchanges of `me` within a group, in order of rounds.
template <class Visit>
constexpr void for_each_exchange(Rank me, Range group, Visit&& visit) {
  if (group.size == 1) return;
  const Exchange last = exchange(me, group);
  for_each_exchange(me, last.mine, visit);
  visit(last);
}

[[nodiscard]] constexpr std::uint64_t rounds(Rank ranks) noexcept { return static_cast<std::uint64_t>(ceil_log2(ranks)); }

// What is sent along the heaviest chain of messages: the larger half of every group.
[[nodiscard]] constexpr std::uint64_t heaviest_path(Rank ranks) noexcept {
  std::uint64_t path = 0;
  for (; ranks > 1; ranks = (ranks + 1) / 2) path += static_cast<std::uint64_t>((ranks + 1) / 2);
  return path;
}

// What the first rank sends: nothing in the rounds in which it has no partner.
[[nodiscard]] constexpr std::uint64_t sent_by_first(Rank ranks) noexcept {
  std::uint64_t sent = 0;
  for (; ranks > 1; ranks = (ranks + 1) / 2)
    if (ranks % 2 == 0) sent += static_cast<std::uint64_t>(ranks / 2);
  return sent;
}

// What the busiest of `ranks` and of `ranks + 1` ranks sends. It is the busiest of a half, or the one of high that serves two.
struct Busiest {
  std::uint64_t of_ranks = 0, of_one_more = 0;
};
[[nodiscard]] constexpr Busiest busiest(Rank ranks) noexcept {
  if (ranks == 1) return {.of_ranks = 0, .of_one_more = 1};
  const Rank half = ranks / 2;  // halves are of this size or one more
  const Busiest halves = busiest(half);
  const auto merged = [&](Rank n) {
    const Rank low = (n + 1) / 2, high = n / 2;
    const auto in = [&](Rank size) {
      return (size == half ? halves.of_ranks : halves.of_one_more) + static_cast<std::uint64_t>(size);
    };
    return low == high ? in(low) : std::max({in(low), in(high), sent_by_first(high) + 2 * static_cast<std::uint64_t>(high)});
  };
  return {.of_ranks = merged(ranks), .of_one_more = merged(ranks + 1)};
}
[[nodiscard]] constexpr std::uint64_t sent_by_busiest(Rank ranks) noexcept { return busiest(ranks).of_ranks; }

static_assert(exchange(1, {0, 4}) == Exchange{.mine = {0, 2}, .other = {2, 2}, .partner = 3});
static_assert(exchange(2, {0, 3}) == Exchange{.mine = {2, 1}, .other = {0, 2}, .partner = 1, .unpaired = 0});
static_assert(exchange(0, {0, 3}) == Exchange{.mine = {0, 2}, .other = {2, 1}, .partner = 2, .paired = false});
static_assert(heaviest_path(8) == 7 && sent_by_busiest(8) == 7 && sent_by_busiest(3) == 3);

}  // namespace tutti::doubling
