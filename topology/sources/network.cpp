#include "topology/sources/network.h"

#include <algorithm>
#include <fstream>

#include "topology/estimates.h"

namespace tutti {
namespace {

namespace fs = std::filesystem;

template <class T>
T read_value(const fs::path& file, T otherwise) {
  std::ifstream in(file);
  T value{};
  return in >> value ? value : otherwise;
}

// GB/s, or 0 when the driver does not say (-1, or the file can't be read while the interface is down).
double speed_gbps(const fs::path& sys_class, const std::string& interface) {
  const double megabits = read_value(sys_class / "net" / interface / "speed", 0.0);
  if (megabits > 0) return megabits / 8000.0;
  const double gigabits =
      read_value(sys_class / "infiniband" / interface / "ports" / "1" / "rate", 0.0);  // "100 Gb/sec (4X EDR)"
  return gigabits > 0 ? gigabits / 8.0 : 0;
}

constexpr int kEthernet = 1, kInfiniband = 32;  // ARPHRD_ETHER, ARPHRD_INFINIBAND

int hardware_type(const fs::path& sys_class, const std::string& interface) {
  return read_value(sys_class / "net" / interface / "type", 0);
}

// InfiniBand or RoCE; iWARP has a node type of its own. Adapters of Ethernet may have an RDMA device beside the interface.
bool is_fabric(const fs::path& sys_class, const std::string& name) {
  constexpr int kChannelAdapter = 1;  // "1: CA"
  std::error_code error;
  if (hardware_type(sys_class, name) == kInfiniband || fs::exists(sys_class / "infiniband" / name, error)) return true;
  for (fs::directory_iterator it(sys_class / "net" / name / "device" / "infiniband", error), end; !error && it != end;
       it.increment(error))
    if (read_value(it->path() / "node_type", 0) == kChannelAdapter) return true;
  return false;
}

bool is_useful(const fs::path& sys_class, const std::string& interface) {
  const fs::path entry = sys_class / "net" / interface;
  std::error_code ignored;
  const int type = hardware_type(sys_class, interface);
  return (type == kEthernet || type == kInfiniband) && read_value(entry / "operstate", std::string()) == "up" &&
         !fs::exists(entry / "bridge", ignored);
}

std::vector<std::string> interfaces(const fs::path& sys_class) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(sys_class / "net", error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());  // the same order on all machines alike
  return names;
}

}  // namespace

void add_network(Topology& topology, const fs::path& sys_class) {
  std::vector<Node>& nodes = topology.nodes;
  const auto is_nic = [](const Node& n) { return n.kind == NodeKind::nic; };
  for (const std::string& interface : interfaces(sys_class)) {
    const bool known = std::any_of(nodes.begin(), nodes.end(), [&](const Node& n) { return is_nic(n) && n.name == interface; });
    if (known || !is_useful(sys_class, interface)) continue;
    Node nic;
    nic.kind = NodeKind::nic;
    nic.parent = machine_of(topology, 0);
    nic.name = interface;
    nodes.push_back(std::move(nic));
  }
  if (std::none_of(nodes.begin(), nodes.end(), is_nic)) return;
  Node network;
  network.kind = NodeKind::net_switch;
  network.name = "network";
  const auto network_id = static_cast<NodeId>(nodes.size());
  nodes.push_back(std::move(network));
  for (NodeId id = 0; id < network_id; ++id) {
    const Node& node = nodes[static_cast<std::size_t>(id)];
    if (!is_nic(node)) continue;
    const double latency_us = is_fabric(sys_class, node.name) ? kFabricLatencyUs : kEthernetLatencyUs;
    const double gbps = speed_gbps(sys_class, node.name);
    const Origin origin = gbps > 0 ? Origin::system : Origin::estimate;
    topology.links.push_back({id, network_id, LinkKind::network, origin, gbps, latency_us});
  }
}

}  // namespace tutti
