// A few milliseconds of measurement at the start: one pair of ranks per host, then one pair of hosts, with the real transports.
#pragma once

#include <array>

#include "runtime/job.h"

namespace tutti {

struct Measured {
  std::array<LinkParameters, kLevels> links;
  double reduce_gbps = 0, copy_gbps = 0;
};

// Collective. All ranks get the same answer: the slowest of what any rank saw.
Result<Measured> measure(Job& job, const Placement& placement);

}  // namespace tutti
