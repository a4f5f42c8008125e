#include "doctor/checks.h"

#include <fmt/format.h>

#include <filesystem>

namespace tutti::doctor {
namespace {

constexpr Check kChecks[] = {
    {"topology", check_topology},
    {"binding", check_binding},
    {"cpuset", check_cpuset},
    {"quota", check_quota},
    {"memory", check_memory},
    {"shared-memory", check_shared_memory},
    {"open-files", check_open_files},
    {"processes", check_processes},
    {"memlock", check_locked_memory},
    {"cma", check_cma},
    {"interfaces", check_interfaces},
    {"rdma", check_rdma},
    {"transports", check_transports},
    {"gpus", check_gpus},
    {"gpu-code", check_gpu_code},
    {"gpu-streams", check_gpu_streams},
    {"gpu-memory", check_gpu_memory},
    {"gpu-sharing", check_gpu_sharing},
    {"nics-of-gpus", check_nics_of_gpus},
    {"iommu", check_iommu},
    {"acs", check_acs},
    {"huge-pages", check_huge_pages},
    {"numa-balancing", check_numa_balancing},
    {"governor", check_governor},
    {"smt", check_smt},
    {"swap", check_swap},
    {"kernel", check_kernel},
    {"virtual", check_virtual},
    {"clock", check_clock},
};

void add_upward(std::vector<std::string>& folders, const std::string& mount, const std::string& path) {
  std::filesystem::path relative = std::filesystem::path(path).lexically_normal().relative_path();
  if (!relative.empty() && *relative.begin() == "..") relative.clear();  // as in topology/sources/cgroup.cpp
  for (; !relative.empty(); relative = relative.parent_path()) folders.push_back(fmt::format("{}/{}", mount, relative.string()));
  folders.push_back(mount);
}

}  // namespace

std::span<const Check> checks() { return kChecks; }

Findings examine(const System& system) {
  Findings all;
  for (const Check& check : kChecks)
    for (Finding& finding : check.run(system)) all.push_back(std::move(finding));
  return all;
}

std::vector<std::string> control_groups(const System& system, std::string_view controller) {
  const std::string mount = "sys/fs/cgroup";
  std::vector<std::string> folders;
  for (const std::string& line : system.lines("proc/self/cgroup")) {  // "4:memory:/path", version 2: "0::/path"
    const std::size_t first = line.find(':'), second = line.find(':', first == std::string::npos ? first : first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    if (controllers.empty()) {
      add_upward(folders, mount, path);
      add_upward(folders, mount + "/unified", path);
    } else if (fmt::format(",{},", controllers).find(fmt::format(",{},", controller)) != std::string::npos) {
      add_upward(folders, fmt::format("{}/{}", mount, controller), path);
      if (controllers != controller) add_upward(folders, fmt::format("{}/{}", mount, controllers), path);
    }
  }
  return folders;
}

}  // namespace tutti::doctor
