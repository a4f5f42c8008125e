// Ring: ranks in a circle.
//
//      0 --> 1 --> 2 --> 3
//      ^                 |
//      +-----------------+
#pragma once

#include <cstdint>
#include <span>

#include "tutti/types.h"

namespace tutti::ring {

// Where one gets from `me` by `steps` (of either sign) along a circle of `ranks`.
[[nodiscard]] constexpr Rank shift(Rank me, Rank steps, Rank ranks) noexcept {
  const Rank sum = (me + steps % ranks) % ranks;
  return sum < 0 ? sum + ranks : sum;
}
[[nodiscard]] constexpr Rank right(Rank me, Rank ranks) noexcept { return shift(me, 1, ranks); }
[[nodiscard]] constexpr Rank left(Rank me, Rank ranks) noexcept { return shift(me, -1, ranks); }

// Links that lie between neighbours of the ring, all pairs together, where ranks are the nodes of a torus, the last dimension
// fastest: one, and one more for each dimension that comes round. 0 where they are no torus.
[[nodiscard]] constexpr std::uint64_t links(std::span<const Rank> torus) noexcept {
  std::uint64_t all = 0, pairs = torus.empty() ? 0 : 1;  // pairs that differ in the dimension
  for (const Rank size : torus) {
    pairs *= static_cast<std::uint64_t>(size);
    if (size > 1) all += pairs;
  }
  return all;
}

static_assert(right(3, 4) == 0 && left(0, 4) == 3 && shift(1, -6, 4) == 3 && shift(1, 9, 4) == 2 && right(0, 1) == 0);

}  // namespace tutti::ring
