// What processors there are for the ranks.
#include "topology/cpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "doctor/checks.h"

namespace tutti::doctor {
namespace {

constexpr const char* kBind =
    "bind each rank to cores of its own: mpirun --bind-to core (Open MPI), mpiexec -bind-to core (Hydra), srun --cpu-bind=cores, "
    "or numactl";

std::set<NodeId> numa_nodes_of(const Topology& topology, const std::vector<int>& cpus) {
  std::set<NodeId> nodes;
  for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
    const std::vector<int>& here = topology.nodes[id].cpus;
    if (!std::ranges::any_of(here, [&](int cpu) { return std::ranges::binary_search(cpus, cpu); })) continue;
    const NodeId numa = enclosing(topology, static_cast<NodeId>(id), NodeKind::numa);
    if (numa != kNoNode) nodes.insert(numa);
  }
  return nodes;
}

int cores_here(const System& s) { return s.topology.nodes.empty() ? 0 : static_cast<int>(usable_cores(s.topology).size()); }

int numa_nodes(const System& s) {
  const auto names = s.names("sys/devices/system/node");
  return static_cast<int>(std::ranges::count_if(names, [](const std::string& n) {
    return n.starts_with("node") && n.find_first_not_of("0123456789", 4) == std::string::npos && n.size() > 4;
  }));
}

}  // namespace

Findings check_binding(const System& s) {
  const std::string source = "/proc/self/status, Cpus_allowed_list";
  const std::vector<int> bound = s.bound();
  if (bound.empty()) return {{Severity::note, "binding", "to which PUs this process is bound cannot be read", source, "", ""}};
  const auto online = parse_cpus(s.line("sys/devices/system/cpu/online").value_or(""));
  const bool everywhere = online && bound == *online;
  const std::string where =
      everywhere ? "not bound: it may run on all PUs (" + format_cpus(bound) + ")" : "bound to PUs " + format_cpus(bound);
  const std::size_t nodes = numa_nodes_of(s.topology, bound).size();
  if (nodes <= 1) return {{Severity::ok, "binding", where, source, "", ""}};
  return {
      {s.ranks_here > 1 ? Severity::warning : Severity::note, "binding",
       fmt::format("{}; these are of {} NUMA nodes", where, nodes), source,
       "when the kernel moves the process to another node its memory stays behind: half the bandwidth or less, and times that "
       "change from run to run",
       kBind}};
}

Findings check_cpuset(const System& s) {
  const auto online = parse_cpus(s.line("sys/devices/system/cpu/online").value_or(""));
  if (!online || online->empty())
    return {{Severity::note, "cpuset", "how many PUs are online cannot be read", "/sys/devices/system/cpu/online", "", ""}};
  for (const std::string& group : control_groups(s, "cpuset"))
    for (const char* file : {"cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"}) {
      const auto allowed = parse_cpus(s.line(group + "/" + file).value_or(""));
      if (!allowed || allowed->empty()) continue;
      const std::string source = "/" + group + "/" + file;
      if (allowed->size() >= online->size())
        return {{Severity::ok, "cpuset", fmt::format("the control group allows all {} PUs", online->size()), source, "", ""}};
      const bool too_few = static_cast<std::size_t>(s.ranks_here) > allowed->size();
      return {
          {too_few ? Severity::problem : Severity::note, "cpuset",
           fmt::format("the control group allows {} of {} PUs ({}){}", allowed->size(), online->size(), format_cpus(*allowed),
                       too_few ? fmt::format(", and there are {} ranks here", s.ranks_here) : ""),
           source,
           "more ranks than that take turns: a message then costs a switch of context, microseconds instead of fractions of one",
           "ask for more cores (docker --cpuset-cpus, kubernetes resources.limits.cpu, srun --cpus-per-task), or start fewer "
           "ranks"}};
    }
  return {{Severity::ok, "cpuset", "no control group limits which PUs may be used", "/proc/self/cgroup", "", ""}};
}

Findings check_quota(const System& s) {
  const double quota = s.cgroup().cpu_quota;
  const std::string source = "cpu.max or cpu.cfs_quota_us of the groups in /proc/self/cgroup";
  if (quota == 0) return {{Severity::ok, "quota", "no control group limits processor time", source, "", ""}};
  double throttled = 0;
  std::string stat = "";
  for (const std::string& group : control_groups(s, "cpu"))
    for (const std::string& line : s.lines(group + "/cpu.stat"))
      if (line.starts_with("nr_throttled ") && throttled == 0) {
        throttled = std::strtod(line.c_str() + 13, nullptr);
        stat = ", /" + group + "/cpu.stat";
      }
  const std::string stopped = throttled > 0 ? fmt::format("; it has stopped its processes {:.0f} times so far", throttled) : "";
  const int cores = cores_here(s);
  const bool too_many = s.ranks_here > quota;
  if (!too_many && throttled == 0 && cores > 0 && quota >= cores)
    return {{Severity::ok, "quota",
             fmt::format("the control group grants the time of {:g} cores, and there are {}", quota, cores), source, "", ""}};
  return {{too_many        ? Severity::problem
           : throttled > 0 ? Severity::warning
                           : Severity::note,
           "quota",
           fmt::format("the control group grants the time of {:g} cores, of {} that are seen, to {} rank{} here{}", quota, cores,
                       s.ranks_here, s.ranks_here == 1 ? "" : "s", stopped),
           source + stat,
           "what is used up stands still until the next period (100 ms as a rule), and all other ranks wait for it; polling uses "
           "time up, too",
           too_many
               ? fmt::format(
                     "start no more than {:.0f} ranks here, or raise the quota (docker --cpus, kubernetes resources.limits.cpu)",
                     std::max(1.0, quota))
               : "raise the quota (docker --cpus, kubernetes resources.limits.cpu), or set TUTTI_SPIN_US=0 so that waiting ranks "
                 "sleep at once"}};
}

Findings check_governor(const System& s) {
  std::map<std::string, int> count;
  for (const std::string& cpu : s.names("sys/devices/system/cpu"))
    if (const auto governor = s.line("sys/devices/system/cpu/" + cpu + "/cpufreq/scaling_governor")) ++count[*governor];
  const std::string source = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor";
  if (count.empty())
    return {{Severity::note, "governor",
             "how the processor's frequency is chosen cannot be seen here; a host of virtual machines decides it by itself",
             source, "", ""}};
  std::string all;
  for (const auto& [governor, cpus] : count) all += fmt::format("{}{} on {} PUs", all.empty() ? "" : ", ", governor, cpus);
  if (count.size() == 1 && count.contains("performance")) return {{Severity::ok, "governor", all, source, "", ""}};
  return {{Severity::warning, "governor", all, source,
           "a core that has waited runs slowly when it gets work; small messages take longer, and times vary",
           "as root: cpupower frequency-set -g performance"}};
}

Findings check_smt(const System& s) {
  const std::string source = "/sys/devices/system/cpu/smt/active";
  const auto active = s.number("sys/devices/system/cpu/smt/active");
  if (!active) return {{Severity::note, "smt", "whether cores run several threads at once cannot be read", source, "", ""}};
  if (*active == 0) return {{Severity::ok, "smt", "one thread per core", source, "", ""}};
  const int cores = cores_here(s);
  const bool shared = cores > 0 && s.ranks_here > cores;
  return {{shared ? Severity::warning : Severity::note, "smt",
           fmt::format("cores run several threads at once (SMT); there are {} cores for {} rank{} here", cores, s.ranks_here,
                       s.ranks_here == 1 ? "" : "s"),
           source, "two ranks on one core share its caches and arithmetic, so each gets about half",
           shared ? "start one rank per core" : "bind ranks to cores rather than to hardware threads (mpirun --bind-to core)"}};
}

Findings check_numa_balancing(const System& s) {
  const std::string source = "/proc/sys/kernel/numa_balancing";
  const double on = s.number("proc/sys/kernel/numa_balancing").value_or(0);
  const int nodes = numa_nodes(s);
  if (on == 0)
    return {{Severity::ok, "numa-balancing", "the kernel does not move pages between NUMA nodes by itself", source, "", ""}};
  if (nodes <= 1) return {{Severity::ok, "numa-balancing", "on, but there is one NUMA node only", source, "", ""}};
  return {
      {Severity::warning, "numa-balancing", fmt::format("the kernel moves pages between {} NUMA nodes by itself", nodes), source,
       "it takes mappings away now and then to see who uses them: page faults in the middle of calls, and of memory shared by "
       "ranks of several nodes pages go back and forth",
       "bind ranks, and as root: sysctl kernel.numa_balancing=0"}};
}

}  // namespace tutti::doctor
