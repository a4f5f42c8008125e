// Ring: ranks in a circle.
//
//      0 --> 1 --> 2 --> 3
//      ^                 |
//      +-----------------+
#pragma once

#include <algorithm>
#include <cstdint>

#include "tutti/schedule.h"

namespace tutti::ring {

// Where one gets from `me` by `steps` (of either sign) along a circle of `ranks`.
[[nodiscard]] constexpr Rank shift(Rank me, Rank steps, Rank ranks) noexcept {
  const Rank sum = (me + steps % ranks) % ranks;
  return sum < 0 ? sum + ranks : sum;
}
[[nodiscard]] constexpr Rank right(Rank me, Rank ranks) noexcept { return shift(me, 1, ranks); }
[[nodiscard]] constexpr Rank left(Rank me, Rank ranks) noexcept { return shift(me, -1, ranks); }

static_assert(right(3, 4) == 0 && left(0, 4) == 3 && shift(1, -6, 4) == 3 && shift(1, 9, 4) == 2 && right(0, 1) == 0);

// Where each rank sends `sent` chunks to its right: LevelCost::leaving. Of ranks that follow each other host by host one sends
// them to another host, and all others do not.
[[nodiscard]] inline std::uint64_t leaving(const Shape& shape, std::uint64_t sent) {
  if (shape.levels == nullptr || shape.levels->empty()) return 0;
  const Grouping& groups = shape.levels->back();
  if (groups.groups() == 1) return 0;
  if (groups.ranges()) return sent;
  std::uint64_t most = 0;
  for (int g = 0; g < groups.groups(); ++g)
    most = std::max<std::uint64_t>(
        most, std::ranges::count_if(groups.members(g), [&](Rank r) { return groups.group_of(right(r, shape.ranks)) != g; }));
  return most * sent;
}

}  // namespace tutti::ring
