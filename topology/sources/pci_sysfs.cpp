#include "topology/sources/pci_sysfs.h"

#include <algorithm>
#include <fstream>

#include "topology/wires.h"

namespace tutti {
namespace {

namespace fs = std::filesystem;

double read_number(const fs::path& file) {
  std::ifstream in(file);
  double value = 0;
  return in >> value ? value : 0;  // "32.0 GT/s PCIe", "16"
}

// Of this device's own end; a width is never changed to save power.
double end_gbps(const fs::path& device) {
  return pcie_gbps(read_number(device / "max_link_speed"), static_cast<int>(read_number(device / "current_link_width")));
}

// From the device up to the one with the bus id `above`, or to the root.
double way_gbps(const fs::path& device, const std::string& above) {
  double slowest = 0;
  for (fs::path at = device; at.has_parent_path() && at.filename() != above; at = at.parent_path()) {
    const double gbps = end_gbps(at);
    if (at.filename().string().starts_with("pci")) break;  // pci0000:00, the root
    if (gbps > 0) slowest = slowest == 0 ? gbps : std::min(slowest, gbps);
  }
  return slowest;
}

void set_speed(Topology& topology, NodeId parent, NodeId device, double gbps) {
  const auto known = std::ranges::find_if(
      topology.links, [&](const Link& l) { return l.kind == LinkKind::pcie && l.a == parent && l.b == device; });
  const Link link{parent, device, LinkKind::pcie, Origin::system, gbps, 0};
  if (known == topology.links.end()) {
    topology.links.push_back(link);
  } else {
    *known = link;
  }
}

}  // namespace

void add_pci_speeds(Topology& topology, const fs::path& pci_devices) {
  for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
    const Node& node = topology.nodes[id];
    if (node.pci_bus_id.empty()) continue;
    std::error_code error;
    const fs::path device = fs::canonical(pci_devices / node.pci_bus_id, error);
    if (error) continue;
    const double gbps = way_gbps(device, topology.nodes[static_cast<std::size_t>(node.parent)].pci_bus_id);
    if (gbps > 0) set_speed(topology, node.parent, static_cast<NodeId>(id), gbps);
  }
}

}  // namespace tutti
