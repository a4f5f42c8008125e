#include "topology/sources/cgroup.h"

#include <gtest/gtest.h>

#include "fixtures.h"

namespace tutti {
namespace {

CgroupLimits read(const test::TemporaryFolder& folder) {
  return read_cgroup_limits(folder.path() / "self", folder.path() / "fs");
}

TEST(Cgroup, Version2TakesTheTightestOnTheWayUp) {
  const test::TemporaryFolder folder;
  folder.write("self", "0::/job/step\n");
  folder.write("fs/job/step/cpu.max", "max 100000\n");
  folder.write("fs/job/cpu.max", "150000 100000\n");
  folder.write("fs/job/step/memory.max", "2147483648\n");
  folder.write("fs/job/memory.max", "max\n");
  const CgroupLimits limits = read(folder);
  EXPECT_DOUBLE_EQ(limits.cpu_quota, 1.5);
  EXPECT_EQ(limits.memory_bytes, 2147483648u);
}

TEST(Cgroup, AQuotaBeyondAllNumbersIsNone) {
  const test::TemporaryFolder folder;
  folder.write("self", "0::/\n");
  folder.write("fs/cpu.max", "1e308 1e-308\n");
  EXPECT_EQ(read(folder).cpu_quota, 0);
}

TEST(Cgroup, Version1) {
  const test::TemporaryFolder folder;
  folder.write("self", "9:name=systemd:/\n4:memory:/pod\n3:cpu,cpuacct:/pod\n");
  folder.write("fs/cpu,cpuacct/pod/cpu.cfs_quota_us", "50000\n");
  folder.write("fs/cpu,cpuacct/pod/cpu.cfs_period_us", "100000\n");
  folder.write("fs/memory/pod/memory.limit_in_bytes", "9223372036854771712\n");
  folder.write("fs/memory/memory.limit_in_bytes", "1073741824\n");
  const CgroupLimits limits = read(folder);
  EXPECT_DOUBLE_EQ(limits.cpu_quota, 0.5);
  EXPECT_EQ(limits.memory_bytes, 1073741824u);
}

TEST(Cgroup, WhatIsLeftIsOfTheGroupThatHasLeast) {
  const test::TemporaryFolder folder;
  folder.write("self", "0::/job/step\n");
  folder.write("fs/job/step/memory.max", "1000000\n");
  folder.write("fs/job/step/memory.current", "400000\n");
  folder.write("fs/job/step/memory.stat", "anon 100000\ninactive_file 200000\nactive_file 100000\n");
  const CgroupLimits step = read(folder);
  EXPECT_EQ(step.memory_left_bytes, 900000u);  // the file cache is as good as free
  folder.write("fs/job/memory.max", "5000000\n");
  folder.write("fs/job/memory.current", "4500000\n");
  const CgroupLimits job = read(folder);
  EXPECT_EQ(job.memory_bytes, 1000000u);
  EXPECT_EQ(job.memory_left_bytes, 500000u);
  EXPECT_NE(job.memory_group, step.memory_group);
  folder.write("fs/job/memory.current", "6000000\n");  // may be, when a limit was lowered
  EXPECT_EQ(read(folder).memory_left_bytes, 0u);
}

TEST(Cgroup, WhatIsLeftInVersion1CountsTheGroupsBelow) {
  const test::TemporaryFolder folder;
  folder.write("self", "4:memory:/pod\n");
  folder.write("fs/memory/pod/memory.limit_in_bytes", "1000000\n");
  folder.write("fs/memory/pod/memory.usage_in_bytes", "800000\n");
  folder.write("fs/memory/pod/memory.stat", "inactive_file 7\ntotal_inactive_file 300000\ntotal_active_file 0\n");
  EXPECT_EQ(read(folder).memory_left_bytes, 500000u);
}

TEST(Cgroup, NoLimitsAndOddFiles) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(read(folder).cpu_quota, 0);  // nothing there at all
  folder.write("self", "garbage\n::\n0::/../../elsewhere\n3:cpu:\n");
  folder.write("fs/cpu.max", "-5 0\n");
  folder.write("fs/memory.max", "lots\n");
  folder.write("fs/cpu/cpu.cfs_quota_us", "-1\n");
  folder.write("fs/cpu/cpu.cfs_period_us", "100000\n");
  const CgroupLimits limits = read(folder);
  EXPECT_EQ(limits.cpu_quota, 0);
  EXPECT_EQ(limits.memory_bytes, 0u);
  EXPECT_EQ(limits.memory_group, 0u);
}

}  // namespace
}  // namespace tutti
