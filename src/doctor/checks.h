// The table of what a doctor looks at on one host. A check is a pure function of a System; add a row for another.
#pragma once

#include <span>

#include "doctor/finding.h"
#include "doctor/system.h"

namespace tutti::doctor {

struct Check {
  std::string_view name;
  Findings (*run)(const System&);
};
[[nodiscard]] std::span<const Check> checks();
// All of them.
[[nodiscard]] Findings examine(const System& system);

// --- cpus.cpp ---
[[nodiscard]] Findings check_binding(const System& system);
[[nodiscard]] Findings check_cpuset(const System& system);
[[nodiscard]] Findings check_quota(const System& system);
[[nodiscard]] Findings check_governor(const System& system);
[[nodiscard]] Findings check_smt(const System& system);
[[nodiscard]] Findings check_numa_balancing(const System& system);
// --- memory.cpp ---
[[nodiscard]] Findings check_memory(const System& system);
[[nodiscard]] Findings check_shared_memory(const System& system);
[[nodiscard]] Findings check_huge_pages(const System& system);
[[nodiscard]] Findings check_swap(const System& system);
// --- limits.cpp ---
[[nodiscard]] Findings check_open_files(const System& system);
[[nodiscard]] Findings check_processes(const System& system);
[[nodiscard]] Findings check_locked_memory(const System& system);
[[nodiscard]] Findings check_cma(const System& system);
// --- network.cpp ---
[[nodiscard]] Findings check_interfaces(const System& system);
// --- rdma.cpp ---
[[nodiscard]] Findings check_rdma(const System& system);
// --- transports.cpp ---
[[nodiscard]] Findings check_transports(const System& system);
// --- devices.cpp ---
[[nodiscard]] Findings check_nics_of_gpus(const System& system);
[[nodiscard]] Findings check_iommu(const System& system);
[[nodiscard]] Findings check_acs(const System& system);
// --- gpus.cpp ---
[[nodiscard]] Findings check_gpus(const System& system);
[[nodiscard]] Findings check_gpu_code(const System& system);
[[nodiscard]] Findings check_gpu_streams(const System& system);
[[nodiscard]] Findings check_gpu_memory(const System& system);
[[nodiscard]] Findings check_gpu_sharing(const System& system);
// --- kernel.cpp ---
[[nodiscard]] Findings check_kernel(const System& system);
[[nodiscard]] Findings check_virtual(const System& system);
[[nodiscard]] Findings check_clock(const System& system);
[[nodiscard]] Findings check_topology(const System& system);

// Folders below sys/fs/cgroup of this process's groups that `controller` rules, innermost first, and the mount point last.
[[nodiscard]] std::vector<std::string> control_groups(const System& system, std::string_view controller);

}  // namespace tutti::doctor
