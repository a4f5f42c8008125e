// A call for the interpreter kernel: a plan's steps in program order as an array of device ops, with messages through mailboxes
// (device/op.h). That all ranks always finish in this order is proved by tests/exec/gpu/progress_test.cpp.
#pragma once

#include "device/op.h"
#include "gpu/pieces.h"

namespace tutti::gpu {

// What one block does in one piece.
struct OpList {
  std::vector<device::Op> ops = {};
  std::vector<device::Place> operands = {};
  std::vector<std::uint8_t> lane_use = {};  // of each of the call's lanes
};

struct KernelCall {
  device::Protocol protocol = device::Protocol::simple;
  OpList piece = {}, last = {};      // `last` is for what remains after all pieces; empty if nothing does
  std::vector<PlanLink> lanes = {};  // of a block: each block needs such a set, in this order
  std::uint64_t pieces = 0;
  std::uint64_t piece_bytes = 0;
  std::uint64_t half_bytes = 0;     // what any half of this rank's must hold at least; those of a lane are equal on both sides
  std::uint64_t scratch_bytes = 0;  // of a block
  std::uint32_t most_operands = 0;
  DataType type = DataType::u8;
  ReduceKind kind = ReduceKind::sum;
  std::int32_t average_over = 0;
  std::int32_t ranks = 1;
  double factor = 1;

  [[nodiscard]] std::uint64_t shared_bytes() const {
    return device::shared_bytes(static_cast<std::uint32_t>(lanes.size()), most_operands);
  }
};

// One rank's call. Code::unsupported for a user's operator: there are no kernels for it.
[[nodiscard]] Result<KernelCall> kernel_call(const CollectiveCall& call, const Schedule& schedule, const Cut& cut,
                                             device::Protocol protocol);

// All of the arguments that are no addresses: these are left null.
[[nodiscard]] device::InterpretArguments arguments_of(const KernelCall& call);

}  // namespace tutti::gpu
