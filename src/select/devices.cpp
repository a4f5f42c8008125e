#include "select/devices.h"

#include <algorithm>
#include <map>

namespace tutti {
namespace {

// What a message waits for: a copy, a word that is written and a word that is waited for; and what each further operation takes
// of a stream. Of one device's memory both directions share what it copies (BabelStream on an H200: 4.0 TB/s read and written).
constexpr double kMessageUs = 6, kOperationUs = 2, kDeviceCopyGbps = 2000;
constexpr double kPcieGbps = 20;

NodeId gpu_at(const Topology& topology, std::string_view pci_bus_id) {
  for (NodeId n = 0; n < static_cast<NodeId>(topology.nodes.size()); ++n) {
    const Node& node = topology.nodes[static_cast<std::size_t>(n)];
    if (node.kind == NodeKind::gpu && node.pci_bus_id == pci_bus_id) return n;
  }
  return kNoNode;
}

// All NVLinks of a GPU together; 0: it has none, or nobody knows.
double nvlink_gbps(const Topology& topology, NodeId gpu) {
  double sum = 0;
  for (const Link& link : topology.links)
    if (link.kind == LinkKind::nvlink && (link.a == gpu || link.b == gpu)) sum += link.bandwidth_gbps;
  return sum;
}

// What the slowest of them gives and takes.
double link_gbps(const Topology& topology, const std::map<std::string, int>& devices) {
  if (devices.size() == 1) return kDeviceCopyGbps;
  double slowest = kDeviceCopyGbps;
  for (const auto& [bus_id, ranks] : devices) {
    const NodeId gpu = gpu_at(topology, bus_id);
    const double nvlink = gpu == kNoNode ? 0 : nvlink_gbps(topology, gpu);
    slowest = std::min(slowest, nvlink > 0 ? nvlink : kPcieGbps);
  }
  return slowest;
}

}  // namespace

JobMachine on_devices(const JobMachine& job, std::span<const std::string> devices, const Topology& topology) {
  std::map<std::string, int> ranks_of;
  for (const std::string& device : devices) ++ranks_of[device];
  JobMachine m;
  m.ranks = job.ranks;
  m.on_gpus = true;
  m.links = {{.latency_us = kMessageUs, .bandwidth_gbps = link_gbps(topology, ranks_of)}};
  m.ranks_per_host = m.core_sharers = job.ranks;
  m.cores_per_host = static_cast<int>(ranks_of.size());
  m.step_us = m.turn_us = kOperationUs;
  m.copy_gbps = kDeviceCopyGbps;
  m.reduce_gbps = kDeviceCopyGbps * 2 / 3;
  m.algorithms = job.algorithms;
  return m;
}

}  // namespace tutti
