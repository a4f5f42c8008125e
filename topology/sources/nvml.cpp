#include "topology/sources/nvml.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <tuple>

#include "topology/pci.h"
#include "topology/wires.h"

namespace tutti {
namespace {

constexpr unsigned kMaxLinks = 36;  // of one GPU; later ones have 18
constexpr unsigned kMaxDevices = 1024;

enum RemoteKind : unsigned { kRemoteGpu = 0, kRemoteProcessor = 1, kRemoteSwitch = 2, kRemoteUnknown = 255 };

std::string bus_id(const NvmlPci& pci) { return fmt::format("{:04x}:{:02x}:{:02x}.0", pci.domain, pci.bus, pci.device); }

class NvmlReader {
 public:
  NvmlReader(Topology& topology, const NvmlTable& nvml) : topology_(topology), nvml_(nvml) {}

  void read() {
    const bool has_links = std::ranges::find(topology_.links, LinkKind::nvlink, &Link::kind) != topology_.links.end();
    unsigned count = 0;
    if (nvml_.count(&count) != 0) return;
    for (unsigned index = 0; index < std::min(count, kMaxDevices); ++index) {
      NvmlDevice device = nullptr;
      NvmlPci pci{};
      if (nvml_.device(index, &device) != 0 || nvml_.pci(device, &pci) != 0) continue;
      const NodeId gpu = find(NodeKind::gpu, bus_id(pci));
      if (gpu == kNoNode) continue;  // one that this job's container does not show
      describe(device, node(gpu));
      if (!has_links) links(device, gpu);
    }
    for (const auto& [pair, gbps] : joined_)
      topology_.links.push_back({pair.first, pair.second, LinkKind::nvlink, Origin::system, gbps, 0});
  }

 private:
  [[nodiscard]] Node& node(NodeId id) { return topology_.nodes[static_cast<std::size_t>(id)]; }

  [[nodiscard]] NodeId find(NodeKind kind, std::string_view bus_id) const {
    const auto found =
        std::ranges::find_if(topology_.nodes, [&](const Node& n) { return n.kind == kind && n.pci_bus_id == bus_id; });
    return found == topology_.nodes.end() ? kNoNode : static_cast<NodeId>(found - topology_.nodes.begin());
  }

  // The library's name is the product's, better than what a PCI database says.
  void describe(NvmlDevice device, Node& gpu) const {
    std::array<char, 96> name{};
    if (nvml_.name(device, name.data(), static_cast<unsigned>(name.size() - 1)) == 0 && name[0] != '\0')
      gpu.name = printable_text(name.data());
    NvmlMemory memory{};
    if (gpu.memory_bytes == 0 && nvml_.memory(device, &memory) == 0) gpu.memory_bytes = memory.total;
  }

  void links(NvmlDevice device, NodeId gpu) {
    int major = 0, minor = 0;
    if (nvml_.capability(device, &major, &minor) != 0 || major < 1 || major > 99) return;
    const double gbps = nvlink_gbps_of_capability(10 * major + minor);
    std::map<NodeId, int> wires;  // by the other end
    for (unsigned link = 0; link < kMaxLinks; ++link) {
      unsigned active = 0;
      NvmlPci remote{};
      if (nvml_.link_state(device, link, &active) != 0 || active == 0) continue;
      if (nvml_.link_remote(device, link, &remote) != 0) continue;
      if (const NodeId end = far_end(device, link, gpu, remote); end != kNoNode && end != gpu) ++wires[end];
    }
    // Both GPUs of a pair tell of their wires.
    for (const auto& [end, count] : wires) {
      double& known = joined_[std::minmax(gpu, end)];
      known = std::max(known, count * gbps);
    }
  }

  NodeId far_end(NvmlDevice device, unsigned link, NodeId gpu, const NvmlPci& remote) {
    const std::string id = bus_id(remote);
    if (const NodeId peer = find(NodeKind::gpu, id); peer != kNoNode) return peer;
    unsigned kind = kRemoteUnknown;
    if (nvml_.link_remote_kind == nullptr || nvml_.link_remote_kind(device, link, &kind) != 0) kind = kRemoteUnknown;
    if (kind == kRemoteGpu) return kNoNode;  // not shown here
    if (kind == kRemoteProcessor) {
      const NodeId package = enclosing(topology_, gpu, NodeKind::package);
      return package != kNoNode ? package : enclosing(topology_, gpu, NodeKind::machine);
    }
    return nvswitch(id, gpu);
  }

  NodeId nvswitch(const std::string& id, NodeId gpu) {
    const bool shown = !id.starts_with("ffff");  // in a virtual machine all have the address ffffffff:ffff:ff
    const std::string known = shown ? id : "";
    if (const NodeId found = find(NodeKind::nvswitch, known); found != kNoNode) return found;
    Node fresh;
    fresh.kind = NodeKind::nvswitch;
    fresh.parent = enclosing(topology_, gpu, NodeKind::machine);
    fresh.pci_bus_id = known;
    topology_.nodes.push_back(std::move(fresh));
    return static_cast<NodeId>(topology_.nodes.size() - 1);
  }

  Topology& topology_;
  const NvmlTable& nvml_;
  std::map<std::pair<NodeId, NodeId>, double> joined_;
};

}  // namespace

void add_nvml(Topology& topology, const NvmlTable& nvml) {
  if (nvml.init() != 0) return;
  NvmlReader(topology, nvml).read();
  nvml.shutdown();
}

}  // namespace tutti
