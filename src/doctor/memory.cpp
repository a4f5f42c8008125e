// Memory: how much there is for the ranks, and in what pages.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/config.h"
#include "doctor/checks.h"

namespace tutti::doctor {
namespace {

double kib(const System& s, std::string_view key) {
  const auto text = s.field("proc/meminfo", key);
  return text ? std::strtod(text->c_str(), nullptr) : 0;
}

std::string human(double bytes, int digits = 3) {
  constexpr std::string_view kUnits = "KMGTPE";
  std::size_t unit = 0;
  for (bytes /= 1024; bytes >= 1000 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  const double last = bytes > 0 ? std::pow(10, std::floor(std::log10(bytes)) - digits + 1) : 1;
  return fmt::format("{:g} {}iB", std::round(bytes / last) * last, kUnits[unit]);
}

struct Left {
  double bytes = 0;
  std::string what, source;
};

// The lesser of what the host and the control group have left.
Left memory_left(const System& s) {
  Left left{kib(s, "MemAvailable") * 1024, "this host has", "/proc/meminfo, MemAvailable"};
  const CgroupLimits group = s.cgroup();
  if (group.memory_bytes > 0 && (left.bytes == 0 || static_cast<double>(group.memory_left_bytes) < left.bytes))
    left = {static_cast<double>(group.memory_left_bytes),
            fmt::format("the control group, limited to {}, has", human(static_cast<double>(group.memory_bytes))),
            "memory.max or memory.limit_in_bytes of the groups in /proc/self/cgroup"};
  return left;
}

// The size of the tmpfs on /dev/shm; 0: no limit of its own is told, nothing: it is not mounted.
std::optional<double> dev_shm_bytes(const System& s) {
  std::optional<double> bytes;
  for (const std::string& line : s.lines("proc/self/mountinfo")) {  // "25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw,size=65536k"
    if (line.find(" /dev/shm ") == std::string::npos) continue;
    bytes = 0;
    const std::size_t size = line.find("size=", line.find(" - "));
    if (size != std::string::npos)
      if (const auto parsed = parse_bytes(line.substr(size + 5, line.find(',', size) - size - 5)))
        bytes = static_cast<double>(*parsed);
  }
  return bytes;
}

}  // namespace

Findings check_memory(const System& s) {
  const Left left = memory_left(s);
  if (left.bytes == 0) return {{Severity::note, "memory", "how much memory is left cannot be read", "/proc/meminfo", "", ""}};
  const double each = static_cast<double>(s.shm_bytes), usual = each * s.ranks_here, most = 4 * usual;
  constexpr int kAlike = 2;  // digits: ranks that look at slightly different moments shall say the same
  const std::string found =
      fmt::format("{} {} left; the shared memory of {} rank{} here takes {}, at the most {}", left.what,
                  human(left.bytes, kAlike), s.ranks_here, s.ranks_here == 1 ? "" : "s", human(usual), human(most));
  if (left.bytes >= most * 4) return {{Severity::ok, "memory", found, left.source, "", ""}};
  return {{left.bytes < usual ? Severity::problem : Severity::warning, "memory", found, left.source,
           "when it is used up the kernel kills a rank in the middle of a call, and the others get peer_lost",
           "raise the limit (docker --memory, kubernetes resources.limits.memory, srun --mem), start fewer ranks, or lower "
           "TUTTI_SHM_BYTES"}};
}

// tutti's shared memory is memfd: pages of the kernel's own tmpfs, which no mount's size limits, but the memory of the group
// does.
Findings check_shared_memory(const System& s) {
  constexpr double kSmall = 1u << 30;
  const std::string source = "/proc/self/mountinfo";
  const auto size = dev_shm_bytes(s);
  const std::string independent =
      "tutti does not use it (its shared memory has no file, memfd_create, and counts as the ranks' memory)";
  if (size && (*size == 0 || *size >= kSmall))
    return {{Severity::ok, "shared-memory",
             fmt::format("/dev/shm has {}; {}", *size == 0 ? "no limit of its own" : human(*size), independent), source, "", ""}};
  return {{Severity::note, "shared-memory",
           fmt::format("/dev/shm {}; {}", size ? "has only " + human(*size) : "is not mounted", independent), source,
           "MPI libraries, NCCL and Python's data loaders do use it, and fail or fall back to slower ways",
           "docker --shm-size=8g or --ipc=host; in kubernetes an emptyDir with medium: Memory mounted there"}};
}

Findings check_huge_pages(const System& s) {
  Findings findings;
  const std::string folder = "sys/kernel/mm/transparent_hugepage/";
  const std::string own = s.chosen_word(folder + "enabled"), shared = s.chosen_word(folder + "shmem_enabled");
  if (own.empty())
    findings.push_back(
        {Severity::note, "huge-pages", "this kernel has no transparent huge pages, or does not show them", "/" + folder, "", ""});
  else if (own == "never")
    findings.push_back({Severity::note, "huge-pages", "transparent huge pages are off", "/" + folder + "enabled",
                        "large buffers are of 4 KiB pages: more page faults at their first use, more misses of the TLB",
                        "as root: echo madvise > /" + folder + "enabled"});
  else
    findings.push_back({Severity::ok, "huge-pages", "transparent huge pages: " + own, "/" + folder + "enabled", "", ""});
  if (shared == "never" || shared == "deny")
    findings.push_back({Severity::note, "huge-pages", "shared memory is of 4 KiB pages: " + shared,
                        "/" + folder + "shmem_enabled",
                        "memory of tutti::allocate and MPI_Alloc_mem asks for huge pages and gets none: mapping it takes longer",
                        "as root: echo advise > /" + folder + "shmem_enabled"});
  const double reserved = kib(s, "HugePages_Total") * kib(s, "Hugepagesize"), total = kib(s, "MemTotal");
  if (total > 0 && reserved >= total / 10)
    findings.push_back({Severity::warning, "huge-pages",
                        fmt::format("{} of {} are reserved for hugetlb pages", human(reserved * 1024), human(total * 1024)),
                        "/proc/meminfo, HugePages_Total", "tutti does not use them, so ranks have that much less memory",
                        "where no other program needs them, as root: sysctl vm.nr_hugepages=0"});
  return findings;
}

Findings check_swap(const System& s) {
  const double total = kib(s, "SwapTotal"), used = total - kib(s, "SwapFree");
  const std::string source = "/proc/meminfo, SwapTotal and SwapFree";
  if (total <= 0) return {{Severity::ok, "swap", "none", source, "", ""}};
  if (used < 0.01 * total) return {{Severity::ok, "swap", fmt::format("{}, unused", human(total * 1024)), source, "", ""}};
  return {{Severity::warning, "swap", fmt::format("{} of {} are in use", human(used * 1024), human(total * 1024)), source,
           "a page that has to come back from disk takes milliseconds, and all ranks wait for it",
           "use less memory on this host, or as root, when enough is free: swapoff -a && swapon -a"}};
}

}  // namespace tutti::doctor
