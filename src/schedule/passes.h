// Passes: schedule in, equivalent schedule out, to be verified again like any other.
#pragma once

#include "tutti/schedule.h"

namespace tutti {

// Makes the fused steps:
//   fold         a chain of at least two reductions into one slice becomes one pass over memory that rounds once
//   recv_reduce  a message that is only received to be reduced is reduced as it arrives; an initial copy of the other
//                operand is taken in as well
struct FuseOptions {
  bool arrivals = true;  // make recv_reduce
};
[[nodiscard]] Schedule fuse(const Schedule& schedule, const FuseOptions& options = {});

}  // namespace tutti
