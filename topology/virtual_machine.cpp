#include "topology/virtual_machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <set>

#include "topology/pci.h"

namespace tutti {
namespace {

namespace fs = std::filesystem;

// In "vendor product". What clouds rent as whole machines says so: "m5.metal".
constexpr std::array<std::string_view, 19> kVirtualNames = {"QEMU",
                                                            "KVM",
                                                            "VMware",
                                                            "VirtualBox",
                                                            "Xen",
                                                            "HVM domU",
                                                            "Bochs",
                                                            "Parallels",
                                                            "BHYVE",
                                                            "OpenStack",
                                                            "oVirt",
                                                            "RHEV",
                                                            "Droplet",
                                                            "Firecracker",
                                                            "Amazon EC2",
                                                            "Google Compute Engine",
                                                            "Alibaba Cloud ECS",
                                                            "Apple Virtualization",
                                                            "Microsoft Corporation Virtual Machine"};
constexpr std::string_view kWholeMachine = "metal";

bool names_virtual_machine(std::string_view text) {
  return text.find(kWholeMachine) == std::string_view::npos &&
         std::ranges::any_of(kVirtualNames, [&](std::string_view name) { return text.find(name) != std::string_view::npos; });
}

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return printable_text(std::string_view(line).substr(0, line.find('\0')));
}

// The nodes of one machine, by kind.
class Parts {
 public:
  Parts(const Topology& topology, NodeId machine) : topology_(topology), machine_(machine) {
    for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
      const auto self = static_cast<NodeId>(id);
      if (enclosing(topology, self, NodeKind::machine) == machine) nodes_[topology.nodes[id].kind].push_back(self);
    }
  }

  [[nodiscard]] const std::vector<NodeId>& of(NodeKind kind) const {
    static const std::vector<NodeId> kNone;
    const auto found = nodes_.find(kind);
    return found == nodes_.end() ? kNone : found->second;
  }

  [[nodiscard]] std::vector<NodeId> devices() const {
    std::vector<NodeId> all = of(NodeKind::gpu);
    all.insert(all.end(), of(NodeKind::nic).begin(), of(NodeKind::nic).end());
    return all;
  }

  // Two sockets or more, with one core each: nobody builds such machines any more.
  [[nodiscard]] bool sockets_of_one_core() const {
    const std::size_t packages = of(NodeKind::package).size();
    std::set<NodeId> with_core;
    for (const NodeId core : of(NodeKind::core)) with_core.insert(enclosing(topology_, core, NodeKind::package));
    return packages >= 2 && packages == of(NodeKind::core).size() && with_core.size() == packages;
  }

  // GPUs are behind root ports where they are soldered or plugged in; hypervisors put them on the root bus itself, or, Hyper-V,
  // on one of their own.
  [[nodiscard]] bool gpus_on_root_buses() const {
    return of(NodeKind::gpu).size() >= 2 && std::ranges::all_of(of(NodeKind::gpu), [&](NodeId id) {
             const Node& gpu = topology_.nodes[static_cast<std::size_t>(id)];
             const std::size_t colon = gpu.pci_bus_id.find(':');
             const bool own_bridge = topology_.nodes[static_cast<std::size_t>(gpu.parent)].kind == NodeKind::pci_switch;
             return colon != std::string::npos && gpu.pci_bus_id.substr(colon, 4) == ":00:" && !own_bridge;
           });
  }

  // A file's author has put back the switches that the virtual machine does not show, with addresses that no bus has.
  [[nodiscard]] bool invented_switches() const {
    return std::ranges::any_of(of(NodeKind::pci_switch), [&](NodeId id) {
      return topology_.nodes[static_cast<std::size_t>(id)].pci_bus_id.starts_with("ffff:ff:");
    });
  }

  [[nodiscard]] bool gpus_are_joined() const {
    return std::ranges::any_of(topology_.links, [&](const Link& link) {
      const bool of_gpus = link.kind == LinkKind::nvlink || link.kind == LinkKind::xgmi;
      return of_gpus && enclosing(topology_, link.a, NodeKind::machine) == machine_;
    });
  }

 private:
  const Topology& topology_;
  const NodeId machine_;
  std::map<NodeKind, std::vector<NodeId>> nodes_;
};

}  // namespace

MachineSigns read_machine_signs(const fs::path& root) {
  MachineSigns signs;
  signs.vendor = first_line(root / "sys/class/dmi/id/sys_vendor");
  signs.product = first_line(root / "sys/class/dmi/id/product_name");
  signs.hypervisor = first_line(root / "sys/hypervisor/type");
  if (signs.hypervisor.empty()) signs.hypervisor = first_line(root / "proc/device-tree/hypervisor/compatible");
  std::ifstream cpus(root / "proc/cpuinfo");
  for (std::string line; std::getline(cpus, line);) {
    if (line.starts_with("model name")) signs.processor = printable_text(line.substr(std::min(line.find(": ") + 2, line.size())));
    if (!line.starts_with("flags")) continue;
    signs.hypervisor_flag = (line + " ").find(" hypervisor ") != std::string::npos;
    break;
  }
  return signs;
}

std::string signs_of_virtual_machine(const MachineSigns& signs, const Topology& topology, NodeId machine) {
  std::vector<std::string> found;
  const std::string firmware = fmt::format("{}{}{}", signs.vendor, signs.vendor.empty() ? "" : " ", signs.product);
  if (names_virtual_machine(firmware)) found.push_back(fmt::format("the firmware names {}", printable_text(firmware)));
  if (!signs.hypervisor.empty()) found.push_back(fmt::format("the kernel names {}", signs.hypervisor));
  if (names_virtual_machine(signs.processor)) found.push_back(fmt::format("the processor is a {}", signs.processor));
  if (signs.hypervisor_flag) found.emplace_back("the processor has the hypervisor flag");
  const Parts parts(topology, machine);
  if (parts.sockets_of_one_core()) found.emplace_back("each socket has one core");
  if (parts.gpus_on_root_buses()) found.emplace_back("GPUs are on root buses");
  if (parts.invented_switches()) found.emplace_back("the file's PCI switches have addresses that no bus has");
  return fmt::format("{}", fmt::join(found, ", ")).substr(0, 250);
}

std::vector<std::string> hidden_parts(const Topology& topology, int host) {
  const NodeId machine = machine_of(topology, host);
  if (machine == kNoNode || topology.nodes[static_cast<std::size_t>(machine)].virtual_machine.empty()) return {};
  const Parts parts(topology, machine);
  std::vector<std::string> hidden;
  if (parts.of(NodeKind::package).empty() || parts.sockets_of_one_core()) hidden.emplace_back("sockets");
  if (parts.of(NodeKind::l3).empty()) hidden.emplace_back("L3 caches");
  if (parts.of(NodeKind::numa).size() <= 1) hidden.emplace_back("NUMA nodes");
  if (parts.devices().size() >= 2 && parts.of(NodeKind::pci_switch).empty()) hidden.emplace_back("PCI switches");
  if (parts.of(NodeKind::gpu).size() >= 2 && !parts.gpus_are_joined()) hidden.emplace_back("links between GPUs");
  return hidden;
}

}  // namespace tutti
