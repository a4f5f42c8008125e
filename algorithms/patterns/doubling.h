// Doubling over ranges, for any number of ranks and any radix k: who swaps what with whom so that everybody ends up with what all
// had. A group is a range of ranks; all of a group hold all that the group had. Up to k groups that lie side by side merge to
// a larger one: each rank sends all it holds to its partner in each of the others. Seen from the whole, a group splits into parts
// whose sizes differ by one at most, so ceil(log_k p) rounds are enough for any p. The first rank of a larger part has no partner
// in a smaller one and is served by that one's first rank. With k = 2 groups double.
//
//   4 ranks                            3 ranks
//   round 0    0 <--> 1    2 <--> 3    0 <--> 1
//   round 1    0 <-------> 2           1 <--> 2, 2 --> 0
//              1 <-------> 3
#pragma once

#include <algorithm>

#include "algorithms/patterns/factors.h"
#include "algorithms/patterns/knomial_tree.h"
#include "schedule/carried.h"

namespace tutti::doubling {

struct Range {
  Rank first = 0, size = 1;
  friend constexpr bool operator==(const Range&, const Range&) = default;
};

// What one rank does with one other part in one round: up to two sends of what its own part holds, one receive of what the other
// part holds.
struct Exchange {
  Range mine, other;
  Rank partner = kNoRank;   // sends `other` to me; gets `mine` from me unless I have no partner
  Rank unpaired = kNoRank;  // gets `mine` from me as well
  bool paired = true;
  friend constexpr bool operator==(const Exchange&, const Exchange&) = default;
};

[[nodiscard]] constexpr Range part(Range group, const knomial_tree::Split& split, Rank index) noexcept {
  return {group.first + split.begin(index), split.size(index)};
}

[[nodiscard]] constexpr Exchange exchange(Rank me, Range mine, Range other) noexcept {
  const Rank index = me - mine.first;
  const bool paired = mine.size <= other.size || index > 0;
  return {.mine = mine,
          .other = other,
          .partner = paired ? other.first + index + other.size - mine.size : other.first,
          .unpaired = mine.size < other.size && index == 0 ? other.first : kNoRank,
          .paired = paired};
}

// The exchanges of `me` within a group, in order of rounds; `factors` is how many groups merge in each round, at most.
template <class Visit>
constexpr void for_each_exchange(Rank me, Range group, std::span<const Rank> factors, Visit&& visit) {
  if (group.size == 1) return;
  const knomial_tree::Split split(group.size, factors.back());
  const Rank own = split.part_of(me - group.first);
  const Range mine = part(group, split, own);
  for_each_exchange(me, mine, factors.first(factors.size() - 1), visit);
  for (Rank i = 0; i < split.parts(); ++i)
    if (i != own) visit(exchange(me, mine, part(group, split, i)));
}
template <class Visit>
constexpr void for_each_exchange(Rank me, Range group, Rank radix, Visit&& visit) {
  for_each_exchange(me, group, factors_covering(group.size, radix), visit);
}

[[nodiscard]] constexpr std::uint64_t rounds(Rank ranks, Rank radix = 2) noexcept {
  return factors_covering(ranks, radix).size();
}

// What is sent along the heaviest chain of messages: a largest part of every group.
[[nodiscard]] constexpr std::uint64_t heaviest_path(Rank ranks, Rank radix = 2) noexcept {
  const Factors factors = factors_covering(ranks, radix);
  std::uint64_t path = 0;
  for (auto factor = factors.end(); factor != factors.begin();) {
    ranks = (ranks - 1) / *--factor + 1;
    path += static_cast<std::uint64_t>(ranks);
  }
  return path;
}

// What the first and the busiest rank of a group send.
struct Sent {
  std::uint64_t first = 0, most = 0;
};
// In groups of `size` and of `size + 1`.
struct SentByNeighbours {
  Sent of_size, of_one_more;
};
enum class Counted : std::uint8_t { blocks, messages };
[[nodiscard]] constexpr SentByNeighbours sent(Rank size, std::span<const Rank> factors, Counted counted) noexcept {
  if (factors.empty()) return {};
  const Rank least = size / factors.back();  // parts are of this size or one more
  const SentByNeighbours parts = sent(least, factors.first(factors.size() - 1), counted);
  const auto merged = [&](Rank n) -> Sent {
    if (n <= 1) return {};
    const knomial_tree::Split split(n, factors.back());
    const auto others = static_cast<std::uint64_t>(split.parts() - 1), larger = static_cast<std::uint64_t>(split.larger());
    const auto in = [&](Rank part) { return split.size(part) == least ? parts.of_size : parts.of_one_more; };
    const auto message_of = [&](Rank part) {
      return counted == Counted::messages ? 1 : static_cast<std::uint64_t>(split.size(part));
    };
    const std::uint64_t large = message_of(0), small = message_of(split.parts() - 1);
    const Sent in_small = in(split.parts() - 1), in_large = in(0);
    if (larger == 0) return {.first = in_large.first + others * large, .most = in_large.most + others * large};
    return {.first = in_large.first + (larger - 1) * large,
            .most = std::max(
                {in_large.most + others * large, in_small.most + others * small, in_small.first + (others + larger) * small})};
  };
  return {.of_size = merged(size), .of_one_more = merged(size + 1)};
}
[[nodiscard]] constexpr std::uint64_t sent_by_busiest(Rank ranks, Rank radix = 2) noexcept {
  return sent(ranks, factors_covering(ranks, radix), Counted::blocks).of_size.most;
}
// LevelCost::posted: nobody receives more messages than the busiest rank sends.
[[nodiscard]] constexpr std::uint64_t posted(Rank ranks, Rank radix = 2) noexcept {
  return sent(ranks, factors_covering(ranks, radix), Counted::messages).of_size.most;
}

inline void tell(Carried& network, Rank ranks, Rank radix) {
  for (Rank r = 0; r < ranks; ++r)
    for_each_exchange(r, {0, ranks}, radix, [&](const Exchange& e) {
      const auto held = static_cast<std::uint64_t>(e.mine.size);
      if (e.paired) network.message(r, e.partner, held);
      if (e.unpaired != kNoRank) network.message(r, e.unpaired, held);
    });
}

static_assert(exchange(1, {0, 2}, {2, 2}) == Exchange{.mine = {0, 2}, .other = {2, 2}, .partner = 3});
static_assert(exchange(2, {2, 1}, {0, 2}) == Exchange{.mine = {2, 1}, .other = {0, 2}, .partner = 1, .unpaired = 0});
static_assert(exchange(0, {0, 2}, {2, 1}) == Exchange{.mine = {0, 2}, .other = {2, 1}, .partner = 2, .paired = false});
static_assert(heaviest_path(8) == 7 && sent_by_busiest(8) == 7 && sent_by_busiest(3) == 3);
static_assert(heaviest_path(9, 3) == 4 && sent_by_busiest(9, 3) == 8 && rounds(9, 3) == 2 && rounds(10, 3) == 3);

}  // namespace tutti::doubling
