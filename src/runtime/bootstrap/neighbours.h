// Who is connected to whom: rank r to r + 1, r + 2, r + 4, ... (modulo the number of ranks), ceil(log2 p) links each way.
#pragma once

#include <vector>

#include "tutti/types.h"

namespace tutti {

[[nodiscard]] constexpr int link_count(Rank size) {
  int links = 0;
  while ((Rank{1} << links) < size) ++links;
  return links;
}
[[nodiscard]] constexpr Rank next_rank(Rank rank, Rank size, int link) {
  return static_cast<Rank>((std::int64_t{rank} + (std::int64_t{1} << link)) % size);
}
[[nodiscard]] constexpr Rank previous_rank(Rank rank, Rank size, int link) {
  return static_cast<Rank>((std::int64_t{rank} + size - (std::int64_t{1} << link)) % size);
}

}  // namespace tutti
