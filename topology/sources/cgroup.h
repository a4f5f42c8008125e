// What the control group grants this process, version 1 and 2.
// Source: Linux kernel documentation, admin-guide/cgroup-v2, cgroup-v1/memory and scheduler/sched-bwc.
#pragma once

#include <cstdint>
#include <filesystem>

namespace tutti {

struct CgroupLimits {
  double cpu_quota = 0;            // cores' worth of time; 0: no limit
  std::uint64_t memory_bytes = 0;  // 0: no limit
  // Of the limited group that has the least left, where there is one: what its processes may still take (its file cache counts
  // as free), and a number that tells it from other groups of this host.
  std::uint64_t memory_left_bytes = 0;
  std::uint64_t memory_group = 0;
};

// The tightest limit on the way from the process's group up to the root. Groups that can't be seen limit nothing.
[[nodiscard]] CgroupLimits read_cgroup_limits(const std::filesystem::path& membership = "/proc/self/cgroup",
                                              const std::filesystem::path& mount = "/sys/fs/cgroup");

}  // namespace tutti
