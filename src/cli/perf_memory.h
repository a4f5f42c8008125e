// Whether the buffers that `tutti perf` is about to allocate fit into the memory of the hosts.
#pragma once

#include "cli/perf_plan.h"

namespace tutti {

// Bytes of this rank's largest measurement; only one is in memory at a time.
[[nodiscard]] double memory_needed(const PerfPlan& plan, Rank me, Rank ranks);

// All ranks call it. Code::invalid_argument on the ranks of a host, control group or device that has less than they need
// together. On a device the host holds a copy.
[[nodiscard]] Status check_memory(Communicator& comm, const PerfPlan& plan, const PerfDevice* device);

}  // namespace tutti
