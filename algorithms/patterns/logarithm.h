// Logarithms to base two of rank counts.
#pragma once

#include <bit>

#include "tutti/types.h"

namespace tutti {

// Both for ranks >= 1.
[[nodiscard]] constexpr int floor_log2(Rank ranks) noexcept { return std::bit_width(static_cast<std::uint32_t>(ranks)) - 1; }
[[nodiscard]] constexpr int ceil_log2(Rank ranks) noexcept { return std::bit_width(static_cast<std::uint32_t>(ranks) - 1); }

static_assert(floor_log2(1) == 0 && floor_log2(7) == 2 && floor_log2(8) == 3);
static_assert(ceil_log2(1) == 0 && ceil_log2(7) == 3 && ceil_log2(8) == 3 && ceil_log2(9) == 4);

}  // namespace tutti
