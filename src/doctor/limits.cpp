// What this process may use, and whether it may read its neighbours' memory.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "doctor/checks.h"
#include "doctor/transports.h"
#include "transports/verbs/channel.h"

namespace tutti::doctor {
namespace {

constexpr const char* kLimits = "/proc/self/limits";

std::string shown(std::uint64_t limit) { return limit == System::kUnlimited ? "unlimited" : std::to_string(limit); }

// Descriptors of one rank: some of its own, control connections to about 2 log2 p ranks, sockets to ranks elsewhere, memory of
// ranks here.
std::uint64_t files_needed(const System& s) {
  const auto p = static_cast<unsigned>(s.ranks);
  const auto elsewhere = static_cast<std::uint64_t>(s.ranks - s.ranks_here) * static_cast<std::uint64_t>(s.tcp_sockets);
  return 32 + 2 * static_cast<std::uint64_t>(std::bit_width(p)) + elsewhere + 2 * static_cast<std::uint64_t>(s.ranks_here);
}

// What one rank registers at least: a mailbox for each peer on other hosts, whose ring is TUTTI_IB_RING. Alone, for one.
std::uint64_t locked_at_least(const System& s) {
  const auto peers = static_cast<std::uint64_t>(std::max(s.ranks - s.ranks_here, 1));
  return peers * verbs::Channel::memory_of(s.ib_ring_bytes);
}

Finding unreadable(const char* check, const char* what) {
  return {Severity::note, check, std::string(what) + " cannot be read", kLimits, "", ""};
}

}  // namespace

Findings check_open_files(const System& s) {
  const auto limit = s.limit("Max open files");
  if (!limit) return {unreadable("open-files", "the limit of open files")};
  const std::uint64_t need = files_needed(s);
  const std::string found =
      fmt::format("{} open files are allowed, and a rank of {} needs up to about {}", shown(*limit), s.ranks, need);
  if (*limit >= 2 * need && *limit >= 1024) return {{Severity::ok, "open-files", found, kLimits, "", ""}};
  return {{*limit < need ? Severity::problem : Severity::warning, "open-files", found, kLimits,
           "a call, or the start, fails with Code::resource (EMFILE)",
           "ulimit -n 65536 before the start; where the hard limit is lower, nofile in /etc/security/limits.conf, docker "
           "--ulimit nofile=65536"}};
}

Findings check_processes(const System& s) {
  Findings findings;
  const std::uint64_t need = 4 * static_cast<std::uint64_t>(s.ranks_here);  // the program's thread, tutti's, a launcher's
  const auto judge = [&](std::uint64_t limit, const std::string& source) {
    const std::string found = fmt::format("{} processes and threads are allowed", shown(limit));
    if (limit < 4 * need)
      findings.push_back({limit < need ? Severity::problem : Severity::warning, "processes", found, source,
                          "a thread for calls in the background cannot be started (EAGAIN)",
                          "ulimit -u, docker --pids-limit, kubernetes podPidsLimit; all processes of this user or group count"});
  };
  const auto limit = s.limit("Max processes");
  if (limit) judge(*limit, kLimits);
  for (const std::string& group : control_groups(s, "pids"))
    if (const auto most = s.number(group + "/pids.max")) judge(static_cast<std::uint64_t>(*most), "/" + group + "/pids.max");
  if (!findings.empty()) return findings;
  if (!limit) return {unreadable("processes", "the limit of processes")};
  return {{Severity::ok, "processes", fmt::format("{} processes and threads are allowed", shown(*limit)), kLimits, "", ""}};
}

Findings check_locked_memory(const System& s) {
  constexpr std::uint64_t kMuch = std::uint64_t{1} << 30;
  constexpr int kIpcLock = 14;  // CAP_IPC_LOCK
  const auto limit = s.limit("Max locked memory");
  if (!limit) return {unreadable("memlock", "the limit of locked memory")};
  const std::string found =
      fmt::format("{}{} of memory may be locked", shown(*limit), *limit == System::kUnlimited ? "" : " bytes");
  if (*limit == System::kUnlimited) return {{Severity::ok, "memlock", found, kLimits, "", ""}};
  if (s.has_capability(kIpcLock))
    return {{Severity::ok, "memlock", found + "; this process is not bound by it (CAP_IPC_LOCK)", kLimits, "", ""}};
  if (!allows_verbs(s) || !used_ports(s))
    return {
        {Severity::ok, "memlock", found + "; the transport verbs, which locks some, would use no device here", kLimits, "", ""}};
  const std::uint64_t least = locked_at_least(s);
  const std::string needs = fmt::format(
      "{}, and RDMA connections take {} of it{}, besides buffers", found, least,
      s.ranks > s.ranks_here
          ? fmt::format(" with {} rank{} on other hosts", s.ranks - s.ranks_here, s.ranks - s.ranks_here == 1 ? "" : "s")
          : " each");
  if (*limit >= kMuch && *limit >= 2 * least) return {{Severity::ok, "memlock", needs, kLimits, "", ""}};
  return {{Severity::warning, "memlock", needs, kLimits,
           *limit < least
               ? "verbs is not used, as the memory of connections cannot be registered with the device; messages go over TCP"
               : "large messages are copied where their memory cannot be registered with the device",
           "ulimit -l unlimited; memlock in /etc/security/limits.conf, LimitMEMLOCK=infinity of the service that starts ranks, "
           "docker --ulimit memlock=-1 or --cap-add=IPC_LOCK; a smaller TUTTI_IB_RING takes less"}};
}

Findings check_cma(const System& s) {
  const auto yama = s.number("proc/sys/kernel/yama/ptrace_scope");
  const bool filtered = s.field("proc/self/status", "Seccomp").value_or("0") == "2";
  const std::string source = "process_vm_readv of the parent's memory by a child";
  if (!s.cma_error) return {{Severity::note, "cma", "whether ranks may read each other's memory was not tried", source, "", ""}};
  if (*s.cma_error == 0)
    return {{Severity::ok, "cma", std::string("ranks may read each other's memory") + (s.uses_cma ? "" : ", but TUTTI_CMA=0"),
             source, "", ""}};
  const int error = *s.cma_error;
  std::string mend = "look for a security module (SELinux, AppArmor) or another user id";
  if (filtered)
    mend =
        "a seccomp filter is active (/proc/self/status, Seccomp 2), as in containers: docker --cap-add=SYS_PTRACE, or a profile "
        "that "
        "allows process_vm_readv";
  else if (yama.value_or(0) >= 1)
    mend = fmt::format("as root: sysctl kernel.yama.ptrace_scope=0 (it is {:g})", *yama);
  else if (error == ENOSYS)
    mend = "a kernel with CONFIG_CROSS_MEMORY_ATTACH";
  return {
      {Severity::warning, "cma",
       fmt::format("ranks may not read each other's memory: {}", system_error(error, "process_vm_readv").message()),
       source + (yama ? ", /proc/sys/kernel/yama/ptrace_scope" : ""),
       "large messages between ranks of this host, from memory that is not of tutti::allocate, are copied twice instead of once",
       mend}};
}

}  // namespace tutti::doctor
