// How GPUs and NICs lie to each other, and what stands between them.
// Sources: PCI Express Base Specification 4.0, 7.7.8 (ACS); Linux kernel documentation, ABI/testing/sysfs-kernel-iommu_groups.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "doctor/checks.h"

namespace tutti::doctor {
namespace {

std::vector<NodeId> all_of(const Topology& topology, NodeKind kind) {
  std::vector<NodeId> found;
  for (std::size_t id = 0; id < topology.nodes.size(); ++id)
    if (topology.nodes[id].kind == kind) found.push_back(static_cast<NodeId>(id));
  return found;
}

std::string label(const Topology& topology, NodeId id) {
  const Node& node = topology.nodes[static_cast<std::size_t>(id)];
  const std::string text = node.name.empty() ? std::string(name(node.kind)) : node.name;
  return node.pci_bus_id.empty() ? text : text + " (" + node.pci_bus_id + ")";
}

// 0: below one PCI switch, 1: on one NUMA node, 2: further.
int distance(const Topology& topology, NodeId a, NodeId b) {
  const auto same = [&](NodeKind kind) {
    return enclosing(topology, a, kind) != kNoNode && enclosing(topology, a, kind) == enclosing(topology, b, kind);
  };
  return same(NodeKind::pci_switch) ? 0 : same(NodeKind::numa) ? 1 : 2;
}

bool knows_numa(const Topology& topology, NodeId id) { return enclosing(topology, id, NodeKind::numa) != kNoNode; }

constexpr const char* kPciSource = "the PCI tree as hwloc reads it from /sys/bus/pci";

// "0x060400": the class of a bridge between PCI buses.
bool is_bridge(const System& s, const std::string& device) {
  return s.line("sys/bus/pci/devices/" + device + "/class").value_or("").starts_with("0x0604");
}

unsigned little_endian(const std::string& bytes, std::size_t at, std::size_t size) {
  unsigned value = 0;
  for (std::size_t i = 0; i < size; ++i) value |= static_cast<unsigned>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  return value;
}

// The control register of ACS, from extended configuration space; nothing where there is no such capability.
std::optional<unsigned> acs_control(const std::string& config) {
  constexpr unsigned kAcs = 0x000d;
  std::size_t at = 0x100;
  for (int hops = 0; hops < 64 && at >= 0x100 && at + 8 <= config.size(); ++hops) {
    const unsigned header = little_endian(config, at, 4);
    if ((header & 0xffff) == kAcs) return little_endian(config, at + 6, 2);
    at = header >> 20;
  }
  return std::nullopt;
}

// Requests or completions between devices are sent up to the root complex.
constexpr unsigned kRedirects = 1u << 2 | 1u << 3;

}  // namespace

Findings check_nics_of_gpus(const System& s) {
  const Topology& t = s.topology;
  const auto gpus = all_of(t, NodeKind::gpu), nics = all_of(t, NodeKind::nic);
  if (gpus.empty() || nics.empty())
    return {{Severity::ok, "nics-of-gpus", fmt::format("{} GPUs, {} NICs: nothing to compare", gpus.size(), nics.size()),
             kPciSource, "", ""}};
  Findings findings;
  if (all_of(t, NodeKind::numa).size() > 1 && std::ranges::none_of(gpus, [&](NodeId g) { return knows_numa(t, g); }))
    return {{Severity::note, "nics-of-gpus", "to which NUMA nodes the GPUs belong is not told",
             "/sys/bus/pci/devices/*/numa_node", "libraries cannot tell a near NIC from a far one; usual in virtual machines",
             "a topology file of the provider for NCCL (NCCL_TOPO_FILE)"}};
  std::map<NodeId, std::vector<NodeId>> served;
  for (const NodeId gpu : gpus) {
    const NodeId nearest =
        *std::ranges::min_element(nics, {}, [&](NodeId nic) { return std::pair(distance(t, gpu, nic), served[nic].size()); });
    served[nearest].push_back(gpu);
    if (distance(t, gpu, nearest) == 2 && knows_numa(t, gpu))
      findings.push_back({Severity::warning, "nics-of-gpus",
                          fmt::format("{} has no NIC on its NUMA node; the nearest is {}", label(t, gpu), label(t, nearest)),
                          kPciSource, "its messages to other hosts cross the link between processors",
                          "put a NIC on that side, or use the GPUs that have one"});
  }
  for (const auto& [nic, users] : served) {
    if (users.size() < 2) continue;
    std::string names;
    for (const NodeId gpu : users) names += (names.empty() ? "" : ", ") + label(t, gpu);
    const bool idle = std::ranges::any_of(nics, [&](NodeId other) { return served[other].empty(); });
    findings.push_back(
        {idle ? Severity::warning : Severity::note, "nics-of-gpus",
         fmt::format("{} is the nearest NIC of {} GPUs: {}", label(t, nic), users.size(), names), kPciSource,
         "they share its bandwidth when all send at once",
         idle ? "another NIC is nobody's nearest: spread GPUs and NICs over the PCI switches" : "none but more NICs"});
  }
  if (findings.empty())
    return {{Severity::ok, "nics-of-gpus", fmt::format("each of {} GPUs has a NIC near it", gpus.size()), kPciSource, "", ""}};
  return findings;
}

Findings check_iommu(const System& s) {
  const std::string source = "/sys/kernel/iommu_groups";
  if (!s.exists("sys/kernel/iommu_groups"))
    return {{Severity::note, "iommu", "whether an IOMMU translates addresses of devices is not shown here", source, "",
             "look on the host itself, not in a container that hides /sys"}};
  int translated = 0, passed = 0;
  for (const std::string& group : s.names("sys/kernel/iommu_groups"))
    (s.line("sys/kernel/iommu_groups/" + group + "/type").value_or("") == "identity" ? passed : translated)++;
  if (translated == 0)
    return {{Severity::ok, "iommu",
             passed == 0 ? "no IOMMU is active that this kernel knows of"
                         : fmt::format("{} groups of devices, none translated", passed),
             source, "", ""}};
  const bool gpus = !all_of(s.topology, NodeKind::gpu).empty();
  return {{gpus ? Severity::warning : Severity::note, "iommu",
           fmt::format("addresses of devices are translated in {} groups", translated), source + "/*/type",
           gpus ? "data from GPU to GPU or NIC goes by way of the processor; NCCL may hang or be slow"
                : "each transfer of a NIC maps and unmaps its pages: a few per cent on fast networks",
           "iommu=pt on the kernel's command line (or off in the firmware, where no virtual machine gets devices)"}};
}

Findings check_acs(const System& s) {
  std::vector<std::string> redirecting;
  int bridges = 0, hidden = 0;
  for (const std::string& device : s.names("sys/bus/pci/devices")) {
    if (!is_bridge(s, device)) continue;
    ++bridges;
    const std::string config = s.bytes("sys/bus/pci/devices/" + device + "/config", 4096).value_or("");
    if (config.size() < 256) ++hidden;  // 64 bytes are all that anybody may read
    if (const auto control = acs_control(config); control && (*control & kRedirects) != 0) redirecting.push_back(device);
  }
  const std::string source = "ACS in /sys/bus/pci/devices/*/config of bridges";
  if (bridges == 0) return {{Severity::ok, "acs", "there is no PCI bridge", source, "", ""}};
  const bool gpus = !all_of(s.topology, NodeKind::gpu).empty();
  if (!redirecting.empty())
    return {{gpus ? Severity::warning : Severity::note, "acs",
             fmt::format("{} of {} PCI bridges send traffic between devices up to the processor (ACS): {}", redirecting.size(),
                         bridges, redirecting.front() + (redirecting.size() > 1 ? ", ..." : "")),
             source, "GPUs and NICs below one switch reach each other by a detour, at half the bandwidth or less",
             "off in the firmware, or as root for each bridge: setpci -s BRIDGE ECAP_ACS+0x6.w=0000"}};
  if (hidden > 0)
    return {{Severity::note, "acs",
             fmt::format("whether {} PCI bridges divert traffic between devices cannot be read{}", hidden,
                         s.is_root ? ", not even by root: a container or virtual machine hides it" : " by this user"),
             source, "", s.is_root ? "run it on the host itself" : "run `sudo tutti doctor`"}};
  return {{Severity::ok, "acs", fmt::format("none of {} PCI bridges diverts traffic between devices", bridges), source, "", ""}};
}

}  // namespace tutti::doctor
