// Calls of ranks that share one device, whose whole memory one of them sees: it does them for all, each as it is defined, in one
// pass that reads every input and writes every output once. The others say where their buffers are, and wait; nothing of theirs
// runs on the device, so it need not change between processes.
//
//   others    tell                                                                      told
//   rank 0          await all, one kernel, which at its end sets back what it waited for and tells all
//
// The words and inboxes of lanes serve for that, but without halves and credits: a rank that has not been told does not tell
// again.
#pragma once

#include "gpu/program.h"

namespace tutti::gpu {

inline constexpr Rank kOnePassRank = 0;  // who does it

// Why a call cannot be done so; empty where it can. The same on all ranks.
[[nodiscard]] std::string one_pass_refusal(Collective collective, Rank ranks, ReduceOp op);
// That are read and written.
[[nodiscard]] std::uint64_t one_pass_bytes(const CollectiveCall& call);
// What one_pass_refusal permits.
[[nodiscard]] Program one_pass_program(Rank me, const CollectiveCall& call);

// Whether a rank's input must not lie in its output, as it may in calls of this kind otherwise.
[[nodiscard]] constexpr bool one_pass_parts_buffers(Collective collective) noexcept {
  return collective == Collective::all_to_all;
}

}  // namespace tutti::gpu
