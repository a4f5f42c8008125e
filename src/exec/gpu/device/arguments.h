// What the kernels of device/ are given: one such struct by value each. Plain C++, shared by those who launch and by the kernels.
//
// Addresses are the device's (or, in the host build, the host's), and need no alignment. Semantics are those of
// src/exec/cpu/kernels/kernels.h. Any number of blocks and threads does the work; more than there are 16-byte words are idle.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tutti/types.h"

namespace tutti::device {

inline constexpr std::uint32_t kMostOperands = 16;

// tutti_fold: out = inputs[0] (+) inputs[1] (+) ... in one pass over memory. `out` may be exactly one of the inputs; otherwise
// nothing overlaps.
struct FoldArguments {
  const std::byte* inputs[kMostOperands];
  std::byte* out;
  std::uint64_t count;        // elements
  std::uint32_t operands;     // 1 to kMostOperands
  std::int32_t average_over;  // avg only: when positive, divide by so many ranks before the one rounding
  DataType type;
  ReduceKind kind;  // not `user`; the pair must be supported, or nothing is written
};

// tutti_prepare: out[i] = factor * in[i]; `out` may be `in`.
struct PrepareArguments {
  const std::byte* in;
  std::byte* out;
  std::uint64_t count;
  // Where the factor lies on the device when the kernel runs, one number of the type (of its parts, if complex). Null: `factor`.
  const std::byte* scalar;
  double factor;
  DataType type;
};

// tutti_finish: data[i] /= ranks.
struct FinishArguments {
  std::byte* data;
  std::uint64_t count;
  std::int32_t ranks;
  DataType type;
};

// Of a rank, as the device sees them.
struct RankBuffers {
  const std::byte* input = nullptr;
  std::byte* output = nullptr;
};

// A part of the result: what these ranks' inputs fold to, in their order, written to these ranks' outputs.
struct OnePassItem {
  std::uint64_t from = 0, to = 0;         // bytes: where it begins in each input, and in each output
  std::uint64_t from_step = 0;            // by which `from` moves on from rank to rank of the outputs; 0: all get the same
  std::uint16_t inputs = 0, outputs = 0;  // a bit for each rank
};
inline constexpr std::uint32_t kMostItems = kMostOperands;

// Another rank: where it says where its buffers are, read when the kernel runs, and true if `call` holds the call's number then.
// It does not where waits were ended because ranks gave up. The kernel sets it back, and `done` to 1.
struct OtherRank {
  const RankBuffers* buffers = nullptr;
  std::uint32_t* call = nullptr;
  std::uint32_t* done = nullptr;
};

// tutti_one_pass: a call as it is defined, by one rank for all ranks of a device, whose buffers it sees. Every input is read
// once, every output written once. Nothing is done where a rank has not told of its own.
struct OnePassArguments {
  OtherRank others[kMostOperands];  // by rank; null: `own`
  RankBuffers own;
  OnePassItem items[kMostItems];
  std::uint64_t count;    // elements of an item
  std::uint32_t* blocks;  // that have done their part; 0 before and behind
  std::uint32_t call;
  std::uint32_t item_count;
  std::int32_t average_over;  // as in FoldArguments
  DataType type;
  ReduceKind kind;
};

}  // namespace tutti::device
