#include "topology/sources/cgroup.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace tutti {
namespace {

namespace fs = std::filesystem;

void tighten(double& limit, double value) {
  if (value > 0 && std::isfinite(value) && (limit == 0 || value < limit)) limit = value;
}

// Version 1 says "no limit" with a number that is almost 2^63.
constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 60;

// One number from a file of its own; 0 when there is none ("max" included).
double read_number(const fs::path& file) {
  std::ifstream in(file);
  double value = 0;
  return in >> value ? value : 0;
}

std::uint64_t read_memory(const fs::path& file) {
  std::ifstream in(file);
  std::uint64_t value = 0;
  return in >> value && value < kUnlimited ? value : 0;
}

// The sum of the named lines of memory.stat: "inactive_file 4096".
std::uint64_t read_stat(const fs::path& file, std::initializer_list<std::string_view> names) {
  std::ifstream in(file);
  std::uint64_t sum = 0, value = 0;
  for (std::string name; in >> name >> value;)
    if (std::ranges::find(names, name) != names.end()) sum += value;
  return sum;
}

std::uint64_t inode(const fs::path& folder) {
  struct stat status {};
  return stat(folder.c_str(), &status) == 0 ? status.st_ino : 0;
}

// What is in use but for the file cache, which gives way.
void limit_memory(CgroupLimits& limits, const fs::path& group, std::uint64_t most, std::uint64_t used, std::uint64_t cached) {
  if (most == 0) return;
  used -= std::min(used, cached);
  const std::uint64_t left = most - std::min(most, used);
  if (limits.memory_bytes == 0 || left < limits.memory_left_bytes) {
    limits.memory_left_bytes = left;
    limits.memory_group = inode(group);
  }
  limits.memory_bytes = limits.memory_bytes == 0 ? most : std::min(limits.memory_bytes, most);
}

void read_v2(const fs::path& group, CgroupLimits& limits) {
  std::ifstream in(group / "cpu.max");  // "200000 100000" or "max 100000"
  double quota = 0, period = 0;
  if (in >> quota >> period && quota > 0 && period > 0) tighten(limits.cpu_quota, quota / period);
  limit_memory(limits, group, read_memory(group / "memory.max"), read_memory(group / "memory.current"),
               read_stat(group / "memory.stat", {"inactive_file", "active_file"}));
}

void read_v1_cpu(const fs::path& group, CgroupLimits& limits) {
  const double quota = read_number(group / "cpu.cfs_quota_us");
  const double period = read_number(group / "cpu.cfs_period_us");
  if (quota > 0 && period > 0) tighten(limits.cpu_quota, quota / period);
}

void read_v1_memory(const fs::path& group, CgroupLimits& limits) {
  limit_memory(limits, group, read_memory(group / "memory.limit_in_bytes"), read_memory(group / "memory.usage_in_bytes"),
               read_stat(group / "memory.stat", {"total_inactive_file", "total_active_file"}));
}

// Reads the group and everything above it, down to the mount point.
void read_upward(const fs::path& mount, const std::string& path, void (*read)(const fs::path&, CgroupLimits&),
                 CgroupLimits& limits) {
  fs::path relative = fs::path(path).lexically_normal().relative_path();
  // Seen from inside a namespace of its own a path may start with "..": then only the mount point is ours.
  if (!relative.empty() && *relative.begin() == "..") relative.clear();
  while (!relative.empty()) {
    read(mount / relative, limits);
    relative = relative.parent_path();
  }
  read(mount, limits);
}

bool lists(const std::string& controllers, const std::string& controller) {
  return ("," + controllers + ",").find("," + controller + ",") != std::string::npos;
}

}  // namespace

CgroupLimits read_cgroup_limits(const fs::path& membership, const fs::path& mount) {
  CgroupLimits limits;
  std::ifstream in(membership);
  for (std::string line; std::getline(in, line);) {  // "4:memory:/path", version 2: "0::/path"
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      read_upward(mount, path, read_v2, limits);
      read_upward(mount / "unified", path, read_v2, limits);
    }
    if (lists(controllers, "cpu")) {
      read_upward(mount / "cpu", path, read_v1_cpu, limits);
      read_upward(mount / "cpu,cpuacct", path, read_v1_cpu, limits);
    }
    if (lists(controllers, "memory")) read_upward(mount / "memory", path, read_v1_memory, limits);
  }
  return limits;
}

}  // namespace tutti
