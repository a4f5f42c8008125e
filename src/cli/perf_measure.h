// One measurement: a collective at one size, in place or not.
#pragma once

#include <string>

#include "cli/perf_device.h"
#include "cli/perf_plan.h"

namespace tutti {

struct Timing {
  double time_us = 0, algbw = 0, busbw = 0;  // the slowest rank's mean; GB/s
  std::uint64_t wrong = 0;                   // elements, of all ranks
  std::string algorithm, way;
};

// All ranks call it. The buffers lie on the device where there is one, which has memory for them.
[[nodiscard]] Result<Timing> measure(Communicator& comm, const PerfPlan& plan, const PerfCase& c, bool in_place,
                                     PerfDevice* device);

}  // namespace tutti
