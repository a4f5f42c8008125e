#include "topology/sources/nccl_xml.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

#include "topology/cpus.h"
#include "topology/estimates.h"
#include "topology/pci.h"
#include "topology/virtual_machine.h"
#include "topology/wires.h"

namespace tutti {
namespace {

constexpr double kMegabitsPerGigabyte = 8000;
constexpr double kMegabytesPerGigabyte = 1000;
constexpr int kMaxHostsLookedAt = 64;  // each costs a walk over all nodes; a file of NCCL is of one host, or of a rack

std::string_view digits_of(const XmlElement& element, std::string_view attribute) {
  std::string_view digits = element.text_of(attribute);
  if (digits.starts_with("0x")) digits.remove_prefix(2);
  return digits;
}

// Classes as NCCL writes them, 0x030200, without their last byte; 0: none.
unsigned class_of(const XmlElement& element, std::string_view attribute) {
  const std::string_view digits = digits_of(element, attribute);
  unsigned value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return value >> 8;
}

// Whoever made the file has left out what does not compute: no server's console is in it.
bool is_gpu_class(unsigned device_class) { return device_class >> 8 == 0x03 || device_class >> 8 == 0x12; }

// Amazon's EFA is an Ethernet device by its class.
bool is_fabric(const XmlElement& pci) {
  const bool efa = digits_of(pci, "vendor") == "1d0f" && digits_of(pci, "device").starts_with("efa");
  return efa || class_of(pci, "class") == kPciInfiniband;
}

// Linux numbers the first hardware threads of all cores before the second ones: a NUMA node of two equal runs of PUs, such as
// 0-7,32-39, has cores of two PUs. Where the file shows one run, nothing tells siblings apart.
std::vector<std::vector<int>> cores_of(const std::vector<int>& cpus) {
  std::vector<std::vector<int>> cores;
  const std::size_t half = cpus.size() / 2;
  const bool even = cpus.size() >= 2 && cpus.size() % 2 == 0;
  const bool two_runs = even && cpus[half - 1] - cpus[0] == static_cast<int>(half) - 1 &&
                        cpus.back() - cpus[half] == static_cast<int>(half) - 1 && cpus[half] != cpus[half - 1] + 1;
  for (std::size_t i = 0; i < (two_runs ? half : cpus.size()); ++i) {
    cores.push_back({cpus[i]});
    if (two_runs) cores.back().push_back(cpus[half + i]);
  }
  return cores;
}

class NcclReader {
 public:
  explicit NcclReader(const XmlDocument& document) : document_(document) {}

  Result<Topology> read() {
    for (const XmlElement* cpu : sorted_cpus()) {
      if (Status status = read_cpu(*cpu); !status) return std::move(status.error());
    }
    if (machines_.empty()) return Error(Code::protocol, "a <system> without a <cpu>");
    for (const Wire& wire : wires_) join(wire);
    for (const auto& [wire, gbps] : joined_) link(std::get<1>(wire), std::get<2>(wire), std::get<0>(wire), gbps);
    network();
    drop_plain_bridges(topology_);
    for (int host = 0; host < std::min(hosts(topology_), kMaxHostsLookedAt); ++host) {
      const NodeId machine = machine_of(topology_, host);  // machines_ has the ids from before bridges were dropped
      node(machine).virtual_machine = signs_of_virtual_machine({}, topology_, machine);
    }
    if (Status status = check(topology_); !status) return Error(Code::protocol, status.error().message());
    return std::move(topology_);
  }

 private:
  // An <nvlink> or <xgmi> of a GPU.
  struct Wire {
    NodeId gpu;
    LinkKind kind;
    const XmlElement* element;
    double gbps;  // of one link
  };

  // In the order of NUMA nodes; files have them in the order in which GPUs were found.
  [[nodiscard]] std::vector<const XmlElement*> sorted_cpus() const {
    std::vector<const XmlElement*> cpus;
    for (const std::size_t child : document_.root().children) {
      if (document_.elements[child].name == "cpu") cpus.push_back(&document_.elements[child]);
    }
    std::ranges::stable_sort(cpus, {}, [](const XmlElement* cpu) { return number_of<int>(*cpu, "numaid", 0); });
    return cpus;
  }

  NodeId add(NodeKind kind, NodeId parent) {
    Node node;
    node.kind = kind;
    node.parent = parent;
    topology_.nodes.push_back(std::move(node));
    return static_cast<NodeId>(topology_.nodes.size() - 1);
  }

  [[nodiscard]] Node& node(NodeId id) { return topology_.nodes[static_cast<std::size_t>(id)]; }

  void link(NodeId a, NodeId b, LinkKind kind, double gbps, double latency_us = 0) {
    topology_.links.push_back({a, b, kind, Origin::file, gbps, latency_us});
  }

  // Hosts that share NVSwitches are in one file and differ by their hash.
  NodeId machine(const XmlElement& cpu) {
    const auto [found, fresh] = machines_.try_emplace(std::string(cpu.text_of("host_hash")), kNoNode);
    if (fresh) found->second = add(NodeKind::machine, kNoNode);
    return found->second;
  }

  Status read_cpu(const XmlElement& cpu) {
    const NodeId host = machine(cpu);
    const NodeId numa = add(NodeKind::numa, host);
    const std::string_view id = cpu.text_of("numaid");
    if (!id.empty() && id != fmt::format("{}", numas_[host]++)) node(numa).name = "numaid " + printable_text(id);
    if (const std::string* affinity = cpu.find("affinity")) {
      const auto bitmap = CpuBitmap::parse(*affinity);
      if (!bitmap || bitmap->contains(kMaxCpu)) {
        return Error(Code::protocol,
                     fmt::format("line {}: affinity is no list of 32-bit words such as 00000000,0000ffff", cpu.line));
      }
      if (Status status = add_cores(numa, bitmap->cpus(), cpu.line); !status) return status;
    }
    for (const std::size_t child : cpu.children) visit(document_.elements[child], numa);
    return {};
  }

  Status add_cores(NodeId numa, const std::vector<int>& cpus, int line) {
    if (topology_.nodes.size() + cpus.size() > kMaxTopologyNodes) {
      return Error(Code::protocol, fmt::format("line {}: more than {} things in all", line, kMaxTopologyNodes));
    }
    for (std::vector<int>& core : cores_of(cpus)) node(add(NodeKind::core, numa)).cpus = std::move(core);
    return {};
  }

  void visit(const XmlElement& element, NodeId parent) {
    if (element.name == "pci") read_pci(element, parent);
    if (element.name == "nic") read_nic(element, parent, nullptr);
  }

  [[nodiscard]] const XmlElement* child_of(const XmlElement& element, std::string_view name) const {
    const auto found =
        std::ranges::find_if(element.children, [&](std::size_t child) { return document_.elements[child].name == name; });
    return found == element.children.end() ? nullptr : &document_.elements[*found];
  }

  void read_pci(const XmlElement& pci, NodeId parent) {
    const unsigned device_class = class_of(pci, "class");
    if (const XmlElement* gpu = child_of(pci, "gpu"); gpu != nullptr || is_gpu_class(device_class)) {
      const NodeId id = device(NodeKind::gpu, pci, parent);
      if (const std::string_view model = digits_of(pci, "device"); !model.empty())
        node(id).name = printable_text(fmt::format("{}:{}", digits_of(pci, "vendor"), model));
      if (gpu != nullptr) read_gpu(*gpu, id);
    } else if (const XmlElement* nic = child_of(pci, "nic")) {
      read_nic(*nic, parent, &pci);
    } else if (is_pci_network(device_class)) {
      plug(device(NodeKind::nic, pci, parent), nullptr, is_fabric(pci));
    } else if (device_class == kPciNvswitch) {
      device(NodeKind::nvswitch, pci, parent);
    } else if (device_class == kPciBridge || child_of(pci, "pci") != nullptr) {
      const NodeId bridge = device(NodeKind::pci_switch, pci, parent);
      for (const std::size_t child : pci.children) visit(document_.elements[child], bridge);
    }
  }

  NodeId device(NodeKind kind, const XmlElement& pci, NodeId parent) {
    const NodeId id = add(kind, parent);
    node(id).pci_bus_id = printable_text(pci.text_of("busid"));
    by_bus_id_.emplace(key_of(id, pci.text_of("busid")), id);
    const double gbps = pcie_gbps(number_of<double>(pci, "link_speed", 0), number_of<int>(pci, "link_width", 0));
    if (gbps > 0) link(parent, id, LinkKind::pcie, gbps);
    return id;
  }

  void read_gpu(const XmlElement& gpu, NodeId id) {
    const std::string_view gcn = gpu.text_of("gcn");  // RCCL's; beside it, sm counts compute units
    const int capability = gcn.empty() ? number_of<int>(gpu, "sm", 0) : 0;
    if (!gcn.empty())
      node(id).name = printable_text(fmt::format("{}{}", gcn.starts_with("gfx") ? "" : "gfx", gcn == "910" ? "90a" : gcn));
    if (capability > 0) node(id).name = fmt::format("sm_{}", capability);
    for (const std::size_t child : gpu.children) {
      const XmlElement& wire = document_.elements[child];
      if (wire.name == "nvlink") wires_.push_back({id, LinkKind::nvlink, &wire, nvlink_gbps_of_capability(capability)});
      if (wire.name == "xgmi") wires_.push_back({id, LinkKind::xgmi, &wire, xgmi_gbps(gcn)});
      if (wire.name == "c2c") {
        const double gbps = number_of<int>(wire, "bw", 0) / kMegabytesPerGigabyte * number_of<int>(wire, "count", 1);
        join(enclosing(topology_, id, NodeKind::numa), id, LinkKind::nvlink, std::max(gbps, 0.0));
      }
    }
  }

  void read_nic(const XmlElement& nic, NodeId parent, const XmlElement* pci) {
    for (const std::size_t child : nic.children) {
      const XmlElement& net = document_.elements[child];
      if (net.name != "net") continue;
      const NodeId id = pci != nullptr ? device(NodeKind::nic, *pci, parent) : add(NodeKind::nic, parent);
      node(id).name = printable_text(net.text_of("name"));
      plug(id, &net, pci != nullptr && is_fabric(*pci));
    }
  }

  struct Port {
    NodeId nic;
    double gbps, latency_us;
  };

  void plug(NodeId nic, const XmlElement* net, bool fabric) {
    Port port{nic, 0, 0};
    if (net != nullptr) {
      port.gbps = std::max(number_of<double>(*net, "speed", 0) / kMegabitsPerGigabyte, 0.0);
      port.latency_us = std::max(number_of<double>(*net, "latency", 0), 0.0);
      fabric = fabric || number_of<int>(*net, "gdr", 0) > 0;  // only such networks reach a GPU's memory
    }
    if (port.latency_us == 0) port.latency_us = fabric ? kFabricLatencyUs : kEthernetLatencyUs;
    ports_.push_back(port);
  }

  // "fffffff:ffff:ff": one switch stands for all that nobody sees, of all hosts that share them.
  static bool is_placeholder(std::string_view bus_id) { return bus_id.starts_with("ffff"); }

  // Bus ids are unique in a host; files differ in upper and lower case.
  [[nodiscard]] std::string key_of(NodeId near, std::string_view bus_id) const {
    std::string key = is_placeholder(bus_id) ? "" : fmt::format("{} ", enclosing(topology_, near, NodeKind::machine));
    for (const char c : bus_id) key += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return key;
  }

  // Where a wire ends: a GPU of the file, the processor (POWER), or a switch, which no other element describes.
  NodeId far_end(const Wire& wire) {
    constexpr unsigned kPowerBridge = 0x068001;
    const XmlElement& element = *wire.element;
    const std::string_view target = element.text_of("target");
    const std::string key = key_of(wire.gpu, target);
    if (const auto found = by_bus_id_.find(key); found != by_bus_id_.end()) return found->second;
    const unsigned target_class = class_of(element, "tclass");
    if (is_gpu_class(target_class) || wire.kind != LinkKind::nvlink) return kNoNode;  // a GPU that the file leaves out
    if (element.text_of("tclass") == fmt::format("{:#08x}", kPowerBridge)) return enclosing(topology_, wire.gpu, NodeKind::numa);
    const NodeId id = add(NodeKind::nvswitch, enclosing(topology_, wire.gpu, NodeKind::machine));
    if (!is_placeholder(target)) node(id).pci_bus_id = printable_text(target);
    by_bus_id_.emplace(key, id);
    return id;
  }

  void join(const Wire& wire) {
    const int count = number_of<int>(*wire.element, "count", 1);
    const NodeId end = far_end(wire);
    if (count > 0 && end != kNoNode && end != wire.gpu) join(wire.gpu, end, wire.kind, count * wire.gbps);
  }

  // Both GPUs of a pair tell of it.
  void join(NodeId a, NodeId b, LinkKind kind, double gbps) {
    const auto [low, high] = std::minmax(a, b);
    double& known = joined_.try_emplace({kind, low, high}, 0).first->second;
    known = std::max(known, gbps);
  }

  void network() {
    if (ports_.empty()) return;
    const NodeId net = add(NodeKind::net_switch, kNoNode);
    node(net).name = "network";
    for (const Port& port : ports_) {
      link(port.nic, net, LinkKind::network, port.gbps, port.latency_us);
      if (port.gbps == 0) topology_.links.back().origin = Origin::estimate;
    }
  }

  const XmlDocument& document_;
  Topology topology_;
  std::map<std::string, NodeId> machines_;
  std::map<NodeId, int> numas_;  // of a machine, so far
  std::unordered_map<std::string, NodeId> by_bus_id_;
  std::vector<Wire> wires_;
  std::map<std::tuple<LinkKind, NodeId, NodeId>, double> joined_;
  std::vector<Port> ports_;
};

}  // namespace

Result<Topology> topology_from_nccl(const XmlDocument& document) { return NcclReader(document).read(); }

}  // namespace tutti
