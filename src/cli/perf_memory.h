// Whether the buffers that `tutti perf` is about to allocate fit into the memory of the hosts.
#pragma once

#include "cli/perf_plan.h"

namespace tutti {

// All ranks call it. Code::invalid_argument on the ranks of a host, or of a control group, that has less than they need together.
[[nodiscard]] Status check_memory(Communicator& comm, const PerfPlan& plan);

}  // namespace tutti
