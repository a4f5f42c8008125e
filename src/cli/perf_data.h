// Data for measurements whose results can be checked bit by bit, whatever the algorithm: every sum and product on the way is
// exact in every type, so the order of the ranks does not matter.
//
// Each block of a rank's input repeats a pattern of its own every 4099 elements, so that making and checking data costs little
// more than reading memory. The period is prime: elements that land in the wrong place are noticed, whatever power of two, page
// or share of the block they are off by.
#pragma once

#include "tutti/communicator.h"

namespace tutti {

struct PerfCase {
  Collective collective = Collective::all_reduce;
  DataType type = DataType::f32;
  ReduceOp op;
  Rank root = 0;
  std::uint64_t count = 0;  // elements of a block
  Rank me = 0, ranks = 1;

  [[nodiscard]] std::uint64_t bytes() const;        // of the larger side
  [[nodiscard]] std::uint64_t input_count() const;  // elements; 0 where this rank has none
  [[nodiscard]] std::uint64_t output_count() const;
};

// This rank's input.
void fill_input(const PerfCase& c, std::byte* input);
// Elements of the output that are not what they must be.
[[nodiscard]] std::uint64_t count_wrong(const PerfCase& c, const std::byte* output);

}  // namespace tutti
