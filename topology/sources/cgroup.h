// What the control group grants this process, version 1 and 2.
// Source: Linux kernel documentation, admin-guide/cgroup-v2 and scheduler/sched-bwc.
#pragma once

#include <cstdint>
#include <filesystem>

namespace tutti {

struct CgroupLimits {
  double cpu_quota = 0;            // cores' worth of time; 0: no limit
  std::uint64_t memory_bytes = 0;  // 0: no limit
};

// The tightest limit on the way from the process's group up to the root. Groups that can't be seen limit nothing.
[[nodiscard]] CgroupLimits read_cgroup_limits(const std::filesystem::path& membership = "/proc/self/cgroup",
                                              const std::filesystem::path& mount = "/sys/fs/cgroup");

}  // namespace tutti
