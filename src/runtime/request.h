// A call that has been checked: every argument is known to make sense on this rank.
#pragma once

#include "schedule/chunk_map.h"
#include "tutti/communicator.h"

namespace tutti {

struct Request {
  Collective collective = Collective::barrier;
  DataType type = DataType::u8;
  bool in_place = false;
  Rank root = 0;
  std::uint64_t count = 0;
  ReduceOp op;
  const std::byte* input = nullptr;
  std::byte* output = nullptr;
  Blocks input_blocks, output_blocks;
  Rank destination = kNoRank, source = kNoRank;
  std::uint64_t receive_count = 0;
  std::string_view algorithm;

  [[nodiscard]] bool equal_blocks() const noexcept { return input_blocks.counts.empty() && output_blocks.counts.empty(); }
};

// Fills in the request, which refers to the call's spans. Code::invalid_argument says which argument, its value, and what is
// expected.
Status check_call(const Call& call, Rank me, Rank ranks, Request& request);

}  // namespace tutti
