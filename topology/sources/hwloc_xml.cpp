#include "topology/sources/hwloc_xml.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "topology/cpus.h"
#include "topology/estimates.h"
#include "topology/pci.h"
#include "topology/virtual_machine.h"

namespace tutti {
namespace {

constexpr double kMegabytesPerGigabyte = 1000.0;
constexpr std::size_t kMaxMatrix = 1024;  // rows of a distance matrix

// "0302 [10de:20b0] [10de:1463] a1" as class and vendor.
struct PciIdentity {
  unsigned device_class = 0;
  unsigned vendor = 0;
};

PciIdentity pci_identity(std::string_view text) {
  const auto hexadecimal = [](std::string_view digits) {
    unsigned value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return value;
  };
  PciIdentity identity;
  if (text.size() >= 10) identity = {hexadecimal(text.substr(0, 4)), hexadecimal(text.substr(6, 4))};
  return identity;
}

// By class alone. Anything else counts as a GPU when a driver offers it for computing.
bool is_gpu(const PciIdentity& pci) {
  constexpr unsigned kVga = 0x0300, k3d = 0x0302, kOtherDisplay = 0x0380, kAccelerator = 0x1200;
  if (pci.device_class == k3d) return true;
  if (pci.device_class == kVga) return pci.vendor == kPciVendorNvidia;  // of other vendors mostly a server's console
  return (pci.device_class == kOtherDisplay || pci.device_class == kAccelerator) && pci.vendor == kPciVendorAmd;  // Instinct
}

// What an OSDev is. Format 2 numbers the kinds, format 3 has a bit for each.
enum class Device { other, gpu, network, fabric };

Device device_kind(const XmlElement& element, bool bits) {
  const int type = number_of<int>(element, "osdev_type", -1);
  if (type < 0) return Device::other;
  if (bits) {
    constexpr int kCoprocessor = 8, kNetwork = 16, kFabric = 32;
    if ((type & kCoprocessor) != 0) return Device::gpu;
    return (type & kFabric) != 0 ? Device::fabric : (type & kNetwork) != 0 ? Device::network : Device::other;
  }
  constexpr int kNetwork = 2, kFabric = 3, kCoprocessor = 5;
  return type == kCoprocessor ? Device::gpu
         : type == kFabric    ? Device::fabric
         : type == kNetwork   ? Device::network
                              : Device::other;
}

// hwloc 1 said Socket and Cache where hwloc 2 says Package and L3Cache.
std::optional<NodeKind> container_kind(const XmlElement& element) {
  const std::string_view type = element.text_of("type");
  if (type == "Package" || type == "Socket") return NodeKind::package;
  if (type == "L3Cache" || (type == "Cache" && element.text_of("depth") == "3")) return NodeKind::l3;
  if (type == "Core") return NodeKind::core;
  return std::nullopt;
}

bool is_l2(const XmlElement& element) {
  const std::string_view type = element.text_of("type");
  return type == "L2Cache" || (type == "Cache" && element.text_of("depth") == "2");
}

class HwlocReader {
 public:
  HwlocReader(const XmlDocument& document, Origin origin)
      : document_(document), origin_(origin), bits_(document.root().text_of("version").starts_with("3")) {}

  Result<Topology> read() {
    const XmlElement* machine = find_machine();
    if (machine == nullptr) return Error(Code::protocol, "no object of type Machine");
    find_switches();
    if (const std::string* allowed = machine->find("allowed_cpuset")) {
      allowed_ = CpuBitmap::parse(*allowed);
      if (!allowed_) return Error(Code::protocol, fmt::format("line {}: allowed_cpuset is not a bitmap", machine->line));
    }
    Node root;
    root.kind = NodeKind::machine;
    root.name = machine_name(*machine);
    const NodeId id = add(std::move(root), *machine);
    children(*machine, {id, id, kNoNode, 0});
    if (!error_.empty()) return Error(Code::protocol, error_);
    if (cores_ == 0) return Error(Code::protocol, "the machine has no cores");
    links_between_numa_nodes_and_devices();
    drop_plain_bridges(topology_);
    topology_.nodes.front().virtual_machine = signs_of_virtual_machine(machine_signs(*machine), topology_, id);
    if (Status status = check(topology_); !status) return Error(Code::protocol, status.error().message());
    return std::move(topology_);
  }

 private:
  // Where in the graph the walk is.
  struct Place {
    NodeId parent;
    NodeId device_parent;
    NodeId core;
    std::uint64_t l2_bytes;
  };

  [[nodiscard]] const XmlElement* find_machine() const {
    for (const std::size_t child : document_.root().children) {
      const XmlElement& element = document_.elements[child];
      if (element.name == "object" && element.text_of("type") == "Machine") return &element;
    }
    return nullptr;
  }

  [[nodiscard]] std::string_view info(const XmlElement& element, std::string_view key) const {
    for (const std::size_t child : element.children) {
      const XmlElement& info = document_.elements[child];
      if (info.name == "info" && info.text_of("name") == key) return info.text_of("value");
    }
    return {};
  }

  [[nodiscard]] std::string machine_name(const XmlElement& machine) const {
    for (const std::string_view key : {"DMIProductName", "PlatformModel", "HostName"}) {
      if (const std::string_view value = info(machine, key); !value.empty()) return printable_text(value);
    }
    return {};
  }

  [[nodiscard]] MachineSigns machine_signs(const XmlElement& machine) const {
    MachineSigns signs;
    signs.vendor = printable_text(info(machine, "DMISysVendor"));
    signs.product = printable_text(info(machine, "DMIProductName"));
    const auto package = std::ranges::find(topology_.nodes, NodeKind::package, &Node::kind);
    if (package != topology_.nodes.end()) signs.processor = package->name;
    return signs;
  }

  NodeId add(Node node, const XmlElement& element) {
    const auto id = static_cast<NodeId>(topology_.nodes.size());
    if (node.kind == NodeKind::numa) numa_by_index_.emplace(number_of<int>(element, "os_index", -1), id);
    if (node.kind == NodeKind::core) ++cores_;
    remember(element, id);
    topology_.nodes.push_back(std::move(node));
    return id;
  }

  // So that distance matrices find it again.
  void remember(const XmlElement& element, NodeId id) {
    if (const auto index = leading_number<std::uint64_t>(element.text_of("gp_index"))) node_by_gp_.emplace(*index, id);
  }

  [[nodiscard]] Node& node(NodeId id) { return topology_.nodes[static_cast<std::size_t>(id)]; }

  [[nodiscard]] bool has_object_children(const XmlElement& element) const {
    return std::any_of(element.children.begin(), element.children.end(),
                       [&](std::size_t c) { return document_.elements[c].name == "object"; });
  }

  // Since format 2 a NUMA node is a leaf beside the cores that are near it.
  [[nodiscard]] bool is_memory(const XmlElement& element) const {
    const std::string_view type = element.text_of("type");
    return type == "MemCache" || (type == "NUMANode" && !has_object_children(element));
  }

  // A NUMA node as large as a machine of several packages is no place inside of it: it lies beside them.
  [[nodiscard]] bool has_packages(const XmlElement& element) const {
    return element.text_of("type") == "Machine" && std::ranges::any_of(element.children, [&](std::size_t child) {
             return container_kind(document_.elements[child]) == NodeKind::package;
           });
  }

  void children(const XmlElement& element, Place place) {
    const NodeId owner = place.parent;
    for (const std::size_t child : element.children) {
      const XmlElement& object = document_.elements[child];
      if (object.name != "object" || !is_memory(object)) continue;
      const NodeId numa = memory(object, owner);
      if (numa != kNoNode && place.parent == owner && !has_packages(element)) place.parent = place.device_parent = numa;
    }
    for (const std::size_t child : element.children) {
      const XmlElement& object = document_.elements[child];
      if (object.name == "object" && !is_memory(object)) visit(object, place);
    }
  }

  // The first NUMA node at or below this memory object.
  NodeId memory(const XmlElement& element, NodeId parent) {
    if (element.text_of("type") == "NUMANode") return add(numa_node(element, parent), element);
    NodeId first = kNoNode;
    for (const std::size_t child : element.children) {
      const XmlElement& object = document_.elements[child];
      if (object.name != "object" || !is_memory(object)) continue;
      const NodeId numa = memory(object, parent);
      if (first == kNoNode) first = numa;
    }
    return first;
  }

  [[nodiscard]] Node numa_node(const XmlElement& element, NodeId parent) const {
    Node numa;
    numa.kind = NodeKind::numa;
    numa.parent = parent;
    numa.memory_bytes = number_of<std::uint64_t>(element, "local_memory", 0);
    numa.name = printable_text(element.text_of("subtype"));
    return numa;
  }

  void visit(const XmlElement& element, Place place) {
    const std::string_view type = element.text_of("type");
    if (type == "PU") return processing_unit(element, place);
    if (type == "Bridge") return bridge(element, place);
    if (type == "PCIDev") return pci_device(element, place);
    if (type == "OSDev") return loose_device(element, place);
    if (type == "Misc" || type == "Machine") return;
    if (is_l2(element)) place.l2_bytes = number_of<std::uint64_t>(element, "cache_size", 0);
    if (type == "NUMANode") {
      place.parent = place.device_parent = add(numa_node(element, place.parent), element);
    } else if (const auto kind = container_kind(element)) {
      container(element, *kind, place);
    }
    children(element, place);
  }

  void container(const XmlElement& element, NodeKind kind, Place& place) {
    Node fresh;
    fresh.kind = kind;
    fresh.parent = place.parent;
    if (kind == NodeKind::package) fresh.name = printable_text(info(element, "CPUModel"));
    if (kind == NodeKind::l3) fresh.cache_bytes = number_of<std::uint64_t>(element, "cache_size", 0);
    if (kind == NodeKind::core) fresh.cache_bytes = place.l2_bytes;
    const NodeId id = add(std::move(fresh), element);
    if (kind == NodeKind::core) {
      place.core = id;
    } else {
      place.parent = place.device_parent = id;
    }
  }

  void processing_unit(const XmlElement& element, Place place) {
    const int cpu = number_of<int>(element, "os_index", -1);
    if (cpu < 0 || cpu >= kMaxCpu) {
      error_ = fmt::format("line {}: a PU without a sensible os_index", element.line);
      return;
    }
    if (place.core == kNoNode) {
      Node core;
      core.kind = NodeKind::core;
      core.parent = place.parent;
      core.cache_bytes = place.l2_bytes;
      place.core = add(std::move(core), element);
    }
    if (allowed_ && !allowed_->contains(cpu)) return;
    std::vector<int>& cpus = node(place.core).cpus;
    cpus.insert(std::lower_bound(cpus.begin(), cpus.end(), cpu), cpu);
  }

  void bridge(const XmlElement& element, Place place) {
    Node fresh;
    fresh.kind = NodeKind::pci_switch;
    fresh.parent = place.device_parent;
    fresh.pci_bus_id = printable_text(element.text_of("pci_busid"));
    fresh.name = fresh.pci_bus_id.empty() ? "host bridge" : "";
    const NodeId id = add(std::move(fresh), element);
    link_upward(element, id);
    place.parent = place.device_parent = id;
    for (const std::size_t child : element.children) {
      const XmlElement& object = document_.elements[child];
      const std::string_view type = object.text_of("type");
      if (object.name == "object" && (type == "Bridge" || type == "PCIDev")) visit(object, place);
    }
  }

  void pci_device(const XmlElement& element, const Place& place) {
    const PciIdentity pci = pci_identity(element.text_of("pci_type"));
    Node fresh;
    fresh.parent = place.device_parent;
    fresh.pci_bus_id = printable_text(element.text_of("pci_busid"));
    bool counts = describe(element, fresh);
    if (is_gpu(pci)) {
      fresh.kind = NodeKind::gpu;
      counts = true;
    } else if (!counts && is_pci_network(pci.device_class)) {
      fresh.kind = NodeKind::nic;
      counts = true;
    } else if (!counts && switches_.contains(number_of<std::uint64_t>(element, "gp_index", 0))) {
      fresh.kind = NodeKind::nvswitch;
      counts = true;
    }
    if (!counts) return;
    if (fresh.name.empty()) fresh.name = printable_text(info(element, "PCIDevice"));
    const NodeId id = add(std::move(fresh), element);
    link_upward(element, id);
    for (const std::size_t child : element.children) remember(document_.elements[child], id);
  }

  // Name, kind and memory from the operating system's devices inside a PCI device. False: none of them counts here.
  bool describe(const XmlElement& element, Node& device) const {
    bool counts = false;
    for (const std::size_t child : element.children) {
      const XmlElement& object = document_.elements[child];
      if (object.name == "object" && object.text_of("type") == "OSDev") counts |= describe_as(object, device);
    }
    return counts;
  }

  bool describe_as(const XmlElement& object, Node& device) const {
    const Device kind = device_kind(object, bits_);
    if (kind == Device::other) return false;
    if (kind == Device::gpu) {
      device.kind = NodeKind::gpu;
      if (const std::string_view model = info(object, "GPUModel"); !model.empty()) device.name = printable_text(model);
      // In KiB, with the unit written behind it since format 3.
      const std::uint64_t kib = leading_number<std::uint64_t>(info(object, "CUDAGlobalMemorySize")).value_or(0);
      if (kib < std::uint64_t{1} << 50) device.memory_bytes = std::max(device.memory_bytes, kib << 10);
      return true;
    }
    device.kind = NodeKind::nic;
    // The interface is what people and TUTTI_INTERFACE name; the verbs device only where there is none.
    if (kind == Device::network || device.name.empty()) device.name = printable_text(object.text_of("name"));
    return true;
  }

  // Devices of the operating system that are on no PCI bus.
  void loose_device(const XmlElement& element, const Place& place) {
    Node fresh;
    fresh.parent = place.device_parent;
    if (!describe_as(element, fresh)) return;
    add(std::move(fresh), element);
  }

  void link_upward(const XmlElement& element, NodeId id) {
    const double speed = number_of<double>(element, "pci_link_speed", 0);
    if (speed > 0 && speed < 1e6) topology_.links.push_back({node(id).parent, id, LinkKind::pcie, origin_, speed, 0});
  }

  // --- distances ---

  // PCI devices that NVLink reaches and that are no GPUs are the switches.
  void find_switches() {
    for_each_matrix([&](const XmlElement& matrix) {
      if (matrix.text_of("name") != "NVLinkBandwidth") return;
      for (const std::string_view word : words(matrix, "indexes")) {
        if (!word.starts_with("PCIDev:")) continue;
        if (const auto index = leading_number<std::uint64_t>(word.substr(7))) switches_.insert(*index);
      }
    });
  }

  template <class F>
  void for_each_matrix(F&& f) const {
    for (const std::size_t child : document_.root().children) {
      const XmlElement& element = document_.elements[child];
      if (element.name == "distances2" || element.name == "distances2hetero") f(element);
    }
  }

  [[nodiscard]] std::vector<std::string_view> words(const XmlElement& matrix, std::string_view name) const {
    std::vector<std::string_view> result;
    for (const std::size_t child : matrix.children) {
      const XmlElement& part = document_.elements[child];
      if (part.name != name) continue;
      std::string_view text = part.text;
      while (result.size() <= kMaxMatrix * kMaxMatrix) {
        const std::size_t begin = text.find_first_not_of(" \t\r\n");
        if (begin == std::string_view::npos) break;
        text.remove_prefix(begin);
        const std::size_t end = std::min(text.find_first_of(" \t\r\n"), text.size());
        result.push_back(text.substr(0, end));
        text.remove_prefix(end);
      }
    }
    return result;
  }

  // "Package:3" or, in a matrix of one type, "3".
  [[nodiscard]] NodeId find_object(const XmlElement& matrix, std::string_view word) const {
    const std::size_t colon = word.find(':');
    const auto index = leading_number<std::uint64_t>(colon == std::string_view::npos ? word : word.substr(colon + 1));
    if (!index) return kNoNode;
    if (matrix.name == "distances2" && matrix.text_of("indexing") == "os") {
      if (matrix.text_of("type") != "NUMANode" || *index > static_cast<std::uint64_t>(kMaxCpu)) return kNoNode;
      const auto found = numa_by_index_.find(static_cast<int>(*index));
      return found == numa_by_index_.end() ? kNoNode : found->second;
    }
    const auto found = node_by_gp_.find(*index);
    return found == node_by_gp_.end() ? kNoNode : found->second;
  }

  void links_between_numa_nodes_and_devices() {
    for_each_matrix([&](const XmlElement& matrix) {
      const std::string_view name = matrix.text_of("name");
      if (name == "NVLinkBandwidth") matrix_links(matrix, LinkKind::nvlink);
      if (name == "XGMIBandwidth") matrix_links(matrix, LinkKind::xgmi);
      if (name == "NUMALatency") matrix_links(matrix, LinkKind::memory);
    });
  }

  // A malformed matrix is left out: the tree is right without it.
  void matrix_links(const XmlElement& matrix, LinkKind kind) {
    const auto indexes = words(matrix, "indexes");
    const auto values = words(matrix, "u64values");
    const std::size_t n = indexes.size();
    if (n > kMaxMatrix || values.size() != n * n) return;
    std::vector<NodeId> objects;
    for (const std::string_view index : indexes) objects.push_back(find_object(matrix, index));
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = i + 1; j < n; ++j) {
        const auto there = leading_number<std::uint64_t>(values[i * n + j]).value_or(0);
        const auto back = leading_number<std::uint64_t>(values[j * n + i]).value_or(0);
        add_link(objects[i], objects[j], kind, std::max(there, back));
      }
    }
  }

  void add_link(NodeId a, NodeId b, LinkKind kind, std::uint64_t value) {
    if (a == kNoNode || b == kNoNode || a == b || value == 0 || topology_.links.size() >= kMaxTopologyLinks) return;
    Link link{std::min(a, b), std::max(a, b), kind, origin_, 0, 0};
    if (kind == LinkKind::memory) {
      link.latency_us = latency_from_slit(static_cast<double>(value));
      link.origin = Origin::estimate;
    } else {
      link.bandwidth_gbps = static_cast<double>(value) / kMegabytesPerGigabyte;
    }
    topology_.links.push_back(link);
  }

  const XmlDocument& document_;
  const Origin origin_;
  const bool bits_;
  Topology topology_;
  std::optional<CpuBitmap> allowed_;
  std::unordered_map<int, NodeId> numa_by_index_;
  std::unordered_map<std::uint64_t, NodeId> node_by_gp_;
  std::unordered_set<std::uint64_t> switches_;
  std::size_t cores_ = 0;
  std::string error_;
};

}  // namespace

Result<Topology> topology_from_hwloc(const XmlDocument& document, Origin origin) { return HwlocReader(document, origin).read(); }

}  // namespace tutti
