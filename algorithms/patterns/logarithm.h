// Logarithms of rank counts.
#pragma once

#include <bit>

#include "tutti/types.h"

namespace tutti {

// Both for ranks >= 1.
[[nodiscard]] constexpr int floor_log2(Rank ranks) noexcept { return std::bit_width(static_cast<std::uint32_t>(ranks)) - 1; }
[[nodiscard]] constexpr int ceil_log2(Rank ranks) noexcept { return std::bit_width(static_cast<std::uint32_t>(ranks) - 1); }

// How often one must multiply 1 by the base to reach as many ranks.
[[nodiscard]] constexpr int ceil_log(Rank ranks, Rank base) noexcept {
  int log = 0;
  for (; ranks > 1; ranks = (ranks - 1) / base + 1) ++log;
  return log;
}

static_assert(floor_log2(1) == 0 && floor_log2(7) == 2 && floor_log2(8) == 3);
static_assert(ceil_log2(1) == 0 && ceil_log2(7) == 3 && ceil_log2(8) == 3 && ceil_log2(9) == 4);
static_assert(ceil_log(1, 3) == 0 && ceil_log(2, 3) == 1 && ceil_log(9, 3) == 2 && ceil_log(10, 3) == 3);

}  // namespace tutti
