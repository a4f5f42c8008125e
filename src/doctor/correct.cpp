#include "doctor/correct.h"

#include <fmt/format.h>

#include <algorithm>

#include "doctor/checks.h"
#include "doctor/network.h"
#include "topology/cpus.h"
#include "topology/wires.h"

namespace tutti::doctor {
namespace {

// PUs of cores that the control group does not allow are left out.
void keep_allowed(const System& s, Corrected& c) {
  for (const std::string& group : control_groups(s, "cpuset"))
    for (const char* file : {"cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"}) {
      const auto allowed = parse_cpus(s.line(group + "/" + file).value_or(""));
      if (!allowed || allowed->empty()) continue;
      std::size_t dropped = 0;
      for (Node& node : c.topology.nodes)
        dropped += std::erase_if(node.cpus, [&](int cpu) { return !std::ranges::binary_search(*allowed, cpu); });
      if (dropped > 0)
        c.changes.push_back(fmt::format("{} PUs left out that the control group does not allow (/{}/{}: {})", dropped, group,
                                        file, format_cpus(*allowed)));
      return;
    }
}

void keep_limits(const System& s, Corrected& c) {
  const CgroupLimits limits = s.cgroup();
  Node& machine = c.topology.nodes[static_cast<std::size_t>(machine_of(c.topology, 0))];
  if (limits.cpu_quota > 0) c.changes.push_back(fmt::format("CPU quota of the control group: {:g} cores", limits.cpu_quota));
  if (limits.memory_bytes > 0)
    c.changes.push_back(fmt::format("memory limit of the control group: {} bytes", limits.memory_bytes));
  machine.cpu_quota = limits.cpu_quota;
  machine.memory_limit_bytes = limits.memory_bytes;
}

// Interfaces that are down, and host ends of containers' networks, carry nothing between hosts: the NIC stays, its link goes.
void drop_dead_links(const System& s, Corrected& c) {
  const auto dead = [&](const Link& link) {
    const Node& nic = c.topology.nodes[static_cast<std::size_t>(link.a)];
    if (link.kind != LinkKind::network || nic.kind != NodeKind::nic) return false;
    const std::string folder = "sys/class/net/" + nic.name;
    if (!s.exists(folder)) return false;  // named by its RDMA device
    const std::string state = s.line(folder + "/operstate").value_or("up");
    const bool addressed = std::ranges::any_of(s.addresses, [&](const InterfaceAddress& a) { return a.name == nic.name; });
    const bool no_use = state == "down" || (nic.pci_bus_id.empty() && !addressed);
    if (no_use)
      c.changes.push_back(fmt::format("{} joins no other host: {}", nic.name,
                                      state == "down" ? "it is down" : "it has no address and no device"));
    return no_use;
  };
  std::erase_if(c.topology.links, dead);
}

void set_speeds(const System& s, const std::optional<LinkParameters>& network, Corrected& c) {
  const auto chosen = choose_interface(s.interface_spec, s.addresses);
  for (Link& link : c.topology.links) {
    const Node& nic = c.topology.nodes[static_cast<std::size_t>(link.a)];
    if (link.kind != LinkKind::network || nic.kind != NodeKind::nic) continue;
    if (network && chosen && nic.name == chosen->name) {
      link.bandwidth_gbps = network->bandwidth_gbps;
      link.latency_us = network->latency_us;
      link.origin = Origin::system;
      c.changes.push_back(
          fmt::format("{}: measured {:.3g} GB/s, {:.3g} us between hosts", nic.name, link.bandwidth_gbps, link.latency_us));
    } else if (link.bandwidth_gbps == 0) {
      link.bandwidth_gbps = kNetworkGbps;
      link.origin = Origin::estimate;
      c.changes.push_back(fmt::format(
          "{}: its driver does not say its speed; {} GB/s are a guess (\"origin\":\"estimate\"), put in what you know", nic.name,
          kNetworkGbps));
    }
  }
}

}  // namespace

Result<Corrected> correct(const System& system, const std::optional<LinkParameters>& network) {
  if (system.topology.nodes.empty())
    return Error(Code::unsupported, "this machine could not be described: " + system.topology_error);
  Corrected c{system.topology, {}};
  keep_allowed(system, c);
  keep_limits(system, c);
  drop_dead_links(system, c);
  set_speeds(system, network, c);
  if (usable_cores(c.topology).empty()) return Error(Code::unsupported, "no core is left that the control group allows");
  if (Status status = check(c.topology); !status) return status.because("the corrected description");
  return c;
}

}  // namespace tutti::doctor
