// What "bytes" of a collective means on the command line: as users of nccl-tests know it, the size of the larger side.
#pragma once

#include "tutti/types.h"

namespace tutti {

// Whether the larger side holds one block per rank, so that a block is a p-th of it.
[[nodiscard]] constexpr bool has_blocks(Collective c) noexcept {
  return c == Collective::all_gather || c == Collective::reduce_scatter || c == Collective::gather || c == Collective::scatter ||
         c == Collective::all_to_all;
}

// busbw = algbw * this: the share of the bytes that must cross each rank's link, whatever the algorithm (nccl-tests,
// PERFORMANCE.md).
[[nodiscard]] constexpr double bus_factor(Collective c, Rank ranks) noexcept {
  const double p = ranks;
  if (c == Collective::all_reduce) return 2 * (p - 1) / p;
  return has_blocks(c) ? (p - 1) / p : 1;
}

}  // namespace tutti
