// RDMA devices and their ports: which tutti would use, and why not the others. Sources: Linux kernel documentation,
// ABI/stable/sysfs-class-infiniband and infiniband/user_verbs; Linux, include/rdma/ib_addr.h (iboe_get_mtu); InfiniBand
// Architecture Specification 1, PortInfo (PortState).
#include "doctor/rdma.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "doctor/checks.h"
#include "doctor/network.h"
#include "doctor/transports.h"
#include "topology/cpus.h"

namespace tutti::doctor {
namespace {

using verbs::Port;

constexpr const char* kDevices = "/sys/class/infiniband";
constexpr const char* kAsked = "libibverbs.so.1 (ibv_query_port, ibv_query_gid_table)";
constexpr const char* kByTcp = "messages between hosts go over TCP, through the kernel";
constexpr const char* kContainer =
    "in a container: docker --device=/dev/infiniband --cap-add=IPC_LOCK --ulimit memlock=-1, kubernetes: the device plugin of "
    "the maker";

Finding finding(Severity severity, std::string found, std::string source, std::string costs = {}, std::string mend = {}) {
  return {severity, "rdma", std::move(found), std::move(source), std::move(costs), std::move(mend)};
}

std::string gid_of(const Port& p) {
  return fmt::format("GID {} ({}, {})", p.gid.gid_index, verbs::to_string(p.gid.gid), verbs::kind(p.fabric));
}

// "port 1 of mlx5_0: active, RoCE, 100 Gbit/s, MTU 4096"
std::string described(const Port& p) {
  return fmt::format("{}: {}, {}, {}, MTU {}", p.to_string(), verbs::name(p.state), p.ethernet ? "RoCE" : "InfiniBand",
                     shown_speed(p.megabits), verbs::bytes(p.mtu));
}

bool is_asked_for(const System& s, Port port) {
  port.state = IBV_PORT_ACTIVE;
  return static_cast<bool>(verbs::choose_ports(s.ib_devices, std::span(&port, 1)));
}

// The network interface below a RoCE port; empty: not told.
std::string interface_of(const System& s, const Port& p) {
  return s.line(fmt::format("sys/class/infiniband/{}/ports/{}/gid_attrs/ndevs/{}", p.device, p.number, p.gid.gid_index))
      .value_or("");
}

// --- devices that the kernel has and libibverbs does not show

// "uverbs0": what programs open; empty where there is none.
std::string device_file(const System& s, const std::string& device) {
  for (const std::string& name : s.names("sys/class/infiniband_verbs"))
    if (s.line("sys/class/infiniband_verbs/" + name + "/ibdev") == device) return name;
  return "";
}

Finding hidden(const System& s, const std::string& device) {
  const std::string file = device_file(s, device);
  if (file.empty())
    return finding(Severity::warning, device + " cannot be used: it has no interface for programs",
                   "/sys/class/infiniband_verbs/*/ibdev", kByTcp, "as root: modprobe ib_uverbs");
  if (!s.exists("dev/infiniband/" + file))
    return finding(Severity::warning, fmt::format("{} cannot be used: there is no /dev/infiniband/{}", device, file),
                   std::string(kDevices) + ", /dev/infiniband", kByTcp, kContainer);
  return finding(Severity::warning, device + " cannot be used: libibverbs has no driver for it",
                 std::string(kDevices) + ", libibverbs.so.1 (ibv_get_device_list)", kByTcp,
                 "install ibverbs-providers (Debian), rdma-core (Red Hat), or what the maker of the device has, as new as "
                 "libibverbs; in a container, too");
}

void add_unusable(const System& s, const std::vector<std::string>& devices, Findings& findings) {
  const Rdma& r = s.rdma;
  for (const std::string& device : devices) {
    const bool shown = std::ranges::find(r.ports, device, &Port::device) != r.ports.end() ||
                       std::ranges::find(r.refused, device, &Rdma::Refused::device) != r.refused.end() ||
                       std::ranges::find(r.unsuitable, device) != r.unsuitable.end();
    if (!shown) findings.push_back(hidden(s, device));
  }
  for (const Rdma::Refused& each : r.refused)
    findings.push_back(finding(Severity::warning, fmt::format("{} cannot be used: {}", each.device, each.why),
                               "libibverbs.so.1 (ibv_open_device)", kByTcp,
                               std::string("this user must be able to write to /dev/infiniband/uverbs*; ") + kContainer));
  for (const std::string& device : r.unsuitable)
    findings.push_back(finding(Severity::note, device + " is neither InfiniBand nor RoCE", "libibverbs.so.1",
                               "tutti does not use such devices (iWARP and others)", "UCX or libfabric may"));
}

// --- ports by themselves

Finding inactive(const System& s, const Port& p) {
  const std::string text = described(p);
  if (p.state == IBV_PORT_INIT || p.state == IBV_PORT_ARMED)
    return finding(Severity::warning, text, kAsked, "nothing goes over it before a subnet manager has made it active",
                   "look whether one runs: opensm on a host of this network, or that of a switch (sminfo tells)");
  const std::string file = fmt::format("sys/class/infiniband/{}/ports/{}/phys_state", p.device, p.number);
  const std::string physical = s.line(file).value_or("");  // "3: Disabled"
  return finding(Severity::note, physical.empty() ? text : fmt::format("{}; its link is {}", text, physical),
                 physical.empty() ? kAsked : std::string(kAsked) + ", /" + file, "nothing goes over it",
                 p.ethernet ? "bring its network interface up (ip link set ... up; rdma link shows which), or check its cable"
                            : "check its cable, or the switch's port");
}

Finding judge(const System& s, Port port) {
  if (!is_asked_for(s, port)) return finding(Severity::ok, described(port) + "; TUTTI_IB_DEVICES leaves it out", kAsked);
  if (port.state != IBV_PORT_ACTIVE) return inactive(s, port);
  if (Status has_gid = verbs::choose_gid(port, s.ib_gid_index); !has_gid)
    return finding(Severity::warning, has_gid.error().to_string(), kAsked, "it is left out",
                   s.ib_gid_index >= 0 ? "unset TUTTI_IB_GID_INDEX, or take an entry that all ports have"
                                       : "bring its network interface up and give it an IPv4 address");
  return finding(Severity::ok, fmt::format("{}, {}", described(port), gid_of(port)), kAsked);
}

// --- what is not as good as it could be, of a port that is used

// The largest packets of RoCE in Ethernet's, whose headers may take 96 bytes.
int most_packet(int interface_mtu) {
  constexpr int kHeaders = 96;
  int most = 256;
  while (2 * most <= std::min(interface_mtu - kHeaders, 4096)) most *= 2;
  return most;
}

void judge_packets(const System& s, const Port& p, Findings& findings) {
  if (!p.ethernet || p.mtu >= p.most_mtu) return;
  const std::string interface = interface_of(s, p);
  const std::string file = "sys/class/net/" + interface + "/mtu";
  const int outer = interface.empty() ? 0 : static_cast<int>(s.number(file).value_or(0));
  if (outer <= 0) return;
  const int here = verbs::bytes(p.mtu), most = verbs::bytes(p.most_mtu), fitting = std::min(most_packet(outer), most);
  const auto add = [&](int could, std::string found, std::string mend) {
    findings.push_back(finding(Severity::note, std::move(found), fmt::format("{}, /{}", kAsked, file),
                               fmt::format("large messages take {} times as many packets as they could", could / here),
                               std::move(mend)));
  };
  if (fitting > here)
    add(fitting,
        fmt::format("{} has an MTU of {}, though {}'s MTU of {} has room for {}", p.to_string(), here, interface, outer, fitting),
        fmt::format("as root: ip link set {0} down; ip link set {0} up; or look at the driver's settings", interface));
  else
    add(most, fmt::format("{} has an MTU of {}, as {}'s MTU is {}", p.to_string(), here, interface, outer),
        fmt::format("as root, on all hosts, where the switches take it: ip link set {} mtu 4200 (or 9000)", interface));
}

void judge_address(const Port& p, Findings& findings) {
  if (p.fabric == verbs::Fabric::roce_v1)
    findings.push_back(finding(Severity::note, p.to_string() + " would be used with RoCE v1", kAsked,
                               "it reaches hosts of its own Ethernet segment only, and there only ports that use RoCE v1, too",
                               "a GID of RoCE v2: unset TUTTI_IB_GID_INDEX, or look at the driver's settings (cma_roce_mode)"));
}

void judge_distance(const System& s, const Port& p, Findings& findings) {
  const std::string file = "sys/class/infiniband/" + p.device + "/device/numa_node";
  const int node = static_cast<int>(s.number(file).value_or(-1));
  const std::string list = fmt::format("sys/devices/system/node/node{}/cpulist", node);
  const auto near = parse_cpus(s.line(list).value_or(""));
  const std::vector<int> bound = s.bound();
  if (node < 0 || !near || near->empty() || bound.empty()) return;
  if (std::ranges::any_of(bound, [&](int cpu) { return std::ranges::binary_search(*near, cpu); })) return;
  findings.push_back(finding(Severity::warning,
                             fmt::format("{} is of NUMA node {} (PUs {}), and this process may run on PUs {} only", p.to_string(),
                                         node, format_cpus(*near), format_cpus(bound)),
                             fmt::format("/{}, /{}, /proc/self/status", file, list),
                             "what it sends and receives crosses the link between processors",
                             "TUTTI_IB_DEVICES with a device near each rank, or bind ranks near this one"));
}

// --- all together

// Whether TUTTI_TRANSPORT allows anything else between hosts.
bool allows_others(const System& s) {
  const auto rows = allowed_transports(s);
  return rows && std::ranges::any_of(*rows, [](const TransportRow* row) { return !row->by_memory && row->name != "verbs"; });
}

Finding none_used(const System& s, const Error& why) {
  const bool set = !s.ib_devices.empty() || s.ib_gid_index >= 0;
  const std::string source = set ? std::string(kAsked) + ", TUTTI_IB_DEVICES, TUTTI_IB_GID_INDEX" : kAsked;
  const char* mend = set ? "correct or unset TUTTI_IB_DEVICES and TUTTI_IB_GID_INDEX" : "bring a port up: see the ports";
  const std::string found = "tutti would take no port: " + why.to_string();
  if (!allows_verbs(s)) return finding(Severity::note, found, source, "none, as TUTTI_TRANSPORT leaves verbs out", mend);
  if (!allows_others(s) && s.ranks > s.ranks_here)
    return finding(Severity::problem, found, source, "TUTTI_TRANSPORT allows nothing else between hosts", mend);
  return finding(Severity::warning, found, source, kByTcp, mend);
}

void add_choice(const System& s, Findings& findings) {
  const auto used = used_ports(s);
  if (!used) {
    findings.push_back(none_used(s, used.error()));
    return;
  }
  std::vector<std::string> near, far;
  for (const Port& p : *used) (p.near ? near : far).push_back(p.to_string());
  const std::string others = far.empty() ? "" : fmt::format("; {}, farther away, where these do not get", fmt::join(far, ", "));
  const std::string ports = fmt::format("{}{}", fmt::join(near, ", "), others);
  if (!allows_verbs(s)) {
    findings.push_back(finding(Severity::note, fmt::format("TUTTI_TRANSPORT leaves verbs out, which would take {}", ports),
                               fmt::format("TUTTI_TRANSPORT={}, {}", s.transport_spec, kAsked), kByTcp,
                               "unset TUTTI_TRANSPORT, or add verbs to it"));
    return;
  }
  findings.push_back(finding(Severity::ok, "tutti would take " + ports, kAsked));
  for (const std::string& name : verbs::unmatched(s.ib_devices, s.rdma.ports))
    findings.push_back(finding(Severity::warning, fmt::format("\"{}\" of TUTTI_IB_DEVICES matches no port", name), kAsked,
                               "what was meant by it is not used", "correct TUTTI_IB_DEVICES"));
  for (const Port& p : *used) {
    if (!p.near) continue;
    judge_packets(s, p, findings);
    judge_address(p, findings);
    judge_distance(s, p, findings);
  }
}

}  // namespace

Result<std::vector<Port>> used_ports(const System& s) {
  const Rdma& r = s.rdma;
  if (!r.none.empty()) return Error(Code::environment, r.none);
  if (r.ports.empty() && !r.refused.empty())
    return Error(Code::environment, "no RDMA device can be opened: " + r.refused.front().why);
  auto used = verbs::used_ports(s.ib_devices, s.ib_gid_index, nearest_nics(s.topology, s.bound()), r.ports);
  if (!used) return std::move(used.error());
  return std::move(used->ports);
}

Findings check_rdma(const System& s) {
  const std::vector<std::string> devices = s.names("sys/class/infiniband");
  const Rdma& r = s.rdma;
  if (devices.empty() && r.ports.empty() && r.refused.empty() && r.unsuitable.empty())
    return {finding(Severity::ok, "there is no RDMA device", kDevices)};
  if (!r.none.empty())
    return {finding(Severity::warning, fmt::format("{} cannot be used: {}", fmt::join(devices, ", "), r.none),
                    std::string(kDevices) + ", libibverbs.so.1", kByTcp,
                    "install libibverbs1 and ibverbs-providers (Debian), or libibverbs (Red Hat), of rdma-core 32 or newer")};
  Findings findings;
  if (!r.ports.empty()) add_choice(s, findings);
  add_unusable(s, devices, findings);
  for (const Port& port : r.ports) findings.push_back(judge(s, port));
  return findings;
}

}  // namespace tutti::doctor
