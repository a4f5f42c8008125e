// The system as a whole: kernel, virtual machine, clock, and whether the machine could be described.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "doctor/checks.h"

namespace tutti::doctor {
namespace {

std::size_t cores_of(const Topology& topology) { return usable_cores(topology).size(); }

// The share of time since boot that the host gave to others, from "cpu user nice system idle iowait irq softirq steal".
double stolen(const System& s) {
  std::istringstream in(s.line("proc/stat").value_or(""));
  std::string word;
  in >> word;
  double total = 0, steal = 0, value = 0;
  for (int i = 0; i < 8 && in >> value; ++i) {
    total += value;
    if (i == 7) steal = value;
  }
  return total > 0 ? steal / total : 0;
}

}  // namespace

Findings check_topology(const System& s) {
  const bool seen = s.topology_error.empty();
  if (s.topology_spec.empty() && !seen)
    return {{Severity::problem, "topology", s.topology_error, "hwloc", "a communicator cannot be made",
             "TUTTI_TOPOLOGY=FILE with a description of this machine"}};
  if (s.topology_spec.empty())
    return {{Severity::ok, "topology", fmt::format("{} usable cores", cores_of(s.topology)), "hwloc", "", ""}};
  const std::string source = "TUTTI_TOPOLOGY=" + s.topology_spec;
  const auto told = load_topology(s.topology_spec);
  if (!told)
    return {{Severity::problem, "topology", told.error().to_string(), source, "a communicator cannot be made",
             "correct or unset TUTTI_TOPOLOGY"}};
  if (!seen)
    return {{Severity::note, "topology",
             fmt::format("described by TUTTI_TOPOLOGY, {} cores; this machine itself cannot be looked at: {}", cores_of(*told),
                         s.topology_error),
             source, "nobody can tell whether the description is right", ""}};
  if (cores_of(*told) == cores_of(s.topology))
    return {{Severity::ok, "topology", fmt::format("described by TUTTI_TOPOLOGY; {} cores there and here", cores_of(*told)),
             source, "", ""}};
  return {{Severity::warning, "topology",
           fmt::format("TUTTI_TOPOLOGY describes {} cores, and this machine has {}", cores_of(*told), cores_of(s.topology)),
           source, "algorithms are chosen for another machine",
           "unset TUTTI_TOPOLOGY, or write a new file: tutti doctor --write-topology FILE"}};
}

Findings check_kernel(const System& s) {
  const std::string source = "/proc/sys/kernel/osrelease", release = s.line("proc/sys/kernel/osrelease").value_or("");
  int major = 0, minor = 0;
  if (std::sscanf(release.c_str(), "%d.%d", &major, &minor) != 2)
    return {{Severity::note, "kernel", "the kernel's version cannot be read", source, "", ""}};
  const auto before = [&](int a, int b) { return major < a || (major == a && minor < b); };
  if (before(4, 16))
    return {{Severity::warning, "kernel", "Linux " + release, source,
             "before 4.16 ranks cannot be woken from shared memory without a fence for each message (membarrier)",
             "a newer kernel"}};
  if (before(5, 14))
    return {{Severity::note, "kernel", "Linux " + release, source,
             "before 5.14 shared memory is mapped page by page at its first use (MADV_POPULATE_WRITE)", "a newer kernel"}};
  return {{Severity::ok, "kernel", "Linux " + release, source, "", ""}};
}

Findings check_virtual(const System& s) {
  const std::string source = "/proc/cpuinfo, /sys/class/dmi/id, /sys/hypervisor, hwloc", signs = s.virtual_machine();
  if (signs.empty()) return {{Severity::ok, "virtual", "no virtual machine, as far as can be seen", source, "", ""}};
  Findings findings;
  findings.push_back({Severity::note, "virtual", "a virtual machine: " + signs, source,
                      "NUMA nodes, shared caches, PCI switches and link speeds may be made up or left out, so predictions are "
                      "less sure; a running job measures",
                      "tutti doctor --write-topology FILE, then correct by hand what you know of the host"});
  const double share = stolen(s);
  if (share >= 0.01)
    findings.push_back({Severity::warning, "virtual",
                        fmt::format("since its start the host gave {:.1f} % of the time to others (steal)", 100 * share),
                        "/proc/stat", "ranks stand still now and then, and the others wait for them",
                        "an instance with processors of its own"});
  return findings;
}

Findings check_clock(const System& s) {
  const std::string file = "sys/devices/system/clocksource/clocksource0/current_clocksource", clock = s.line(file).value_or("");
  if (clock.empty()) return {{Severity::note, "clock", "the clock source cannot be read", "/" + file, "", ""}};
  constexpr const char* kRead[] = {"tsc",      "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page",
                                   "timebase", "riscv_clocksource"};
  if (std::ranges::find(kRead, clock) != std::end(kRead))
    return {{Severity::ok, "clock", clock + ", which is read without a system call", "/" + file, "", ""}};
  return {{Severity::warning, "clock", clock + ", which takes a system call or a slow device to read", "/" + file,
           "a waiting rank looks at the clock, as do your own measurements: up to a microsecond each time",
           "as root, where tsc is among available_clocksource: echo tsc > /" + file}};
}

}  // namespace tutti::doctor
