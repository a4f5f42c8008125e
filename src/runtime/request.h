// A call that has been checked: every argument is known to make sense on this rank.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "schedule/chunk_map.h"
#include "select/contract.h"
#include "tutti/communicator.h"
#include "tutti/transport.h"

namespace tutti {

// How many bytes a call reads and writes, and where its input lies relative to its output when it is in place.
struct Footprint {
  std::uint64_t input_bytes = 0, output_bytes = 0;
  std::ptrdiff_t in_place_offset = 0;

  [[nodiscard]] bool overlaps(const void* input, const void* output) const noexcept {
    const auto in = reinterpret_cast<std::uintptr_t>(input), out = reinterpret_cast<std::uintptr_t>(output);
    return input_bytes > 0 && output_bytes > 0 && in < out + output_bytes && out < in + input_bytes;
  }
  [[nodiscard]] bool in_place(const void* input, const void* output) const noexcept {
    const auto in = reinterpret_cast<std::uintptr_t>(input), out = reinterpret_cast<std::uintptr_t>(output);
    return in == out + static_cast<std::uintptr_t>(in_place_offset);
  }
  // Whether the buffers that are needed are there.
  [[nodiscard]] bool given(const void* input, const void* output) const noexcept {
    return (input != nullptr || input_bytes == 0) && (output != nullptr || output_bytes == 0);
  }
};

struct Request {
  Collective collective = Collective::barrier;
  DataType type = DataType::u8;
  bool in_place = false;
  bool many_in = false, many_out = false;  // the side has one block per rank, where there is one at all
  Rank root = 0;
  std::uint64_t count = 0;
  ReduceOp op;
  const std::byte* input = nullptr;
  std::byte* output = nullptr;
  Blocks input_blocks, output_blocks;
  Rank destination = kNoRank, source = kNoRank;
  std::uint64_t receive_count = 0;
  std::string_view algorithm, algorithm_filter;
  Numerics numerics;
  Footprint footprint;

  [[nodiscard]] std::size_t element_size() const noexcept {
    return reduces(collective) ? element_bytes(type, op) : size_of(type);
  }
  [[nodiscard]] bool equal_blocks() const noexcept { return input_blocks.counts.empty() && output_blocks.counts.empty(); }
};

// The request refers to the call's spans. Code::invalid_argument says which argument, its value, and what is expected.
// `contract` holds where the call says nothing of its own.
Result<Request> check_call(const Call& call, Rank me, Rank ranks, const Contract& contract = {});
// The same for a call that is not to be run: its buffers may be missing.
Result<Request> check_shape(const Call& call, Rank me, Rank ranks, const Contract& contract = {});

// The number that all ranks must agree on: of v-variants the sum of the counts, which all ranks know (but in all_to_allv).
// A message's size says what its count is: its two sides may count differently in a call that also goes the other way.
[[nodiscard]] std::uint64_t agreed_count(const Request& request);
// As far as the request says it.
[[nodiscard]] Signature signature_of(const Request& request);

// A call with copies of all that it refers to, but for the buffers.
class OwnedCall {
 public:
  explicit OwnedCall(const Call& call);
  OwnedCall(const OwnedCall&) = delete;
  OwnedCall& operator=(const OwnedCall&) = delete;
  ~OwnedCall() = default;

  [[nodiscard]] const Call& get() const noexcept { return call_; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

 private:
  Call call_;
  std::array<std::vector<std::uint64_t>, 4> counts_;
  std::string algorithm_, algorithm_filter_;
};

}  // namespace tutti
