// The cost of an algorithm that does not look at the machine: one level, whatever the widest link is.
#pragma once

#include "algorithms/registry.h"
#include "schedule/carried.h"

namespace tutti {

struct FlatCost {
  std::uint64_t rounds = 0, path = 0, sent = 0, reduced = 0, carried = 0;  // as in LevelCost
  std::uint64_t published = 0, taken = 0;                                  // as in Cost
  std::uint64_t leaving = 0, at_a_time = 0, posted = 0;                    // as in LevelCost
};

[[nodiscard]] inline Cost flat_cost(std::uint32_t chunks_per_block, const FlatCost& cost) {
  return {.chunks_per_block = chunks_per_block,
          .levels = {{.level = -1,
                      .rounds = static_cast<std::uint32_t>(cost.rounds),
                      .path = cost.path,
                      .sent = cost.sent,
                      .reduced = cost.reduced,
                      .carried = cost.carried,
                      .leaving = cost.leaving,
                      .at_a_time = static_cast<std::uint32_t>(cost.at_a_time),
                      .posted = cost.posted}},
          .published = cost.published,
          .taken = cost.taken,
          .exact = true};
}

}  // namespace tutti
