// Some tens of milliseconds of measurement at the start, with the real transports: for each level of the machine one pair of
// ranks of every host, then pairs of hosts.
#pragma once

#include <array>

#include "runtime/job.h"

namespace tutti {

inline constexpr std::size_t kLargeBytes = 512u << 10;  // of the messages whose time gives the bandwidth

struct Measured {
  std::array<LinkParameters, kLevels> links;
  std::array<LinkTuning, kLevels> tuning;
  double reduce_gbps = 0, copy_gbps = 0;
};

// Collective. All ranks get the same answer: the slowest of what any rank saw; what none could measure is as `expected`.
Result<Measured> measure(Job& job, const Placement& placement, const std::array<LinkParameters, kLevels>& expected);

}  // namespace tutti
