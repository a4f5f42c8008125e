// Ring: ranks in a circle.
//
//      0 --> 1 --> 2 --> 3
//      ^                 |
//      +-----------------+
#pragma once

#include "tutti/types.h"

namespace tutti::ring {

// Where one gets from `me` by `steps` (of either sign) along a circle of `ranks`.
[[nodiscard]] constexpr Rank shift(Rank me, Rank steps, Rank ranks) noexcept {
  const Rank sum = (me + steps % ranks) % ranks;
  return sum < 0 ? sum + ranks : sum;
}
[[nodiscard]] constexpr Rank right(Rank me, Rank ranks) noexcept { return shift(me, 1, ranks); }
[[nodiscard]] constexpr Rank left(Rank me, Rank ranks) noexcept { return shift(me, -1, ranks); }

static_assert(right(3, 4) == 0 && left(0, 4) == 3 && shift(1, -6, 4) == 3 && shift(1, 9, 4) == 2 && right(0, 1) == 0);

}  // namespace tutti::ring
