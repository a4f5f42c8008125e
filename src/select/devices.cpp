#include "select/devices.h"

#include <algorithm>
#include <bit>
#include <map>
#include <set>

namespace tutti {
namespace {

// What a message waits for: a copy, a word that is written and a word that is waited for; and what each further operation takes
// of a stream. Of one device's memory both directions share what it copies (BabelStream on an H200: 4.0 TB/s read and written).
constexpr double kMessageUs = 6, kOperationUs = 2, kDeviceCopyGbps = 2000;
constexpr double kPcieGbps = 20;

// NCCL's constants for rings (src/graph/tuning.cc, 2.30.7): what a call costs at once, and a hop over NVLink and over PCIe; the
// share of a link's bandwidth that is data, and what one channel moves at most: ll128 by the same table, ll with half the data in
// as many bytes, simple as much as one multiprocessor does in its symmetric kernels (44 GiB/s).
struct KernelRates {
  double launch_us, nvlink_us, pcie_us, data_share, channel_gbps;
  std::uint64_t channel_bytes;  // that are worth a block
};
KernelRates rates_of(KernelProtocol protocol) {
  switch (protocol) {
    case KernelProtocol::ll:
      return {6.6, 0.6, 1.0, 0.5, 18.4, std::uint64_t{4} << 10};
    case KernelProtocol::ll128:
      return {14, 1.9, 2.5, 0.92, 36.7, std::uint64_t{16} << 10};
    case KernelProtocol::simple:
      break;
  }
  return {8.4, 3.4, 5.7, 1, 47, std::uint64_t{32} << 10};
}
constexpr double kKernelStepUs = 0.2;  // a barrier of a block, and fetching the next operation: an estimate
constexpr unsigned kMostChannels = 16;

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

bool linked(const Topology& topology, NodeId a, NodeId b) {
  return std::ranges::any_of(topology.links, [&](const Link& l) {
    return l.kind == LinkKind::nvlink && ((l.a == a && l.b == b) || (l.a == b && l.b == a));
  });
}

// Directly, or by a switch that both are linked to.
bool joined_by_nvlink(const Topology& topology, NodeId a, NodeId b) {
  if (a == kNoNode || b == kNoNode) return false;
  if (linked(topology, a, b)) return true;
  for (NodeId n = 0; n < static_cast<NodeId>(topology.nodes.size()); ++n)
    if (topology.nodes[static_cast<std::size_t>(n)].kind == NodeKind::nvswitch && linked(topology, a, n) &&
        linked(topology, b, n))
      return true;
  return false;
}

bool all_joined_by_nvlink(std::span<const std::string> devices, const Topology& topology) {
  std::vector<NodeId> gpus;
  for (const std::string& device : devices) gpus.push_back(gpu_at(topology, device));
  for (std::size_t a = 0; a < gpus.size(); ++a)
    for (std::size_t b = a + 1; b < gpus.size(); ++b)
      if (!joined_by_nvlink(topology, gpus[a], gpus[b])) return false;
  return true;
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

bool may_spin(std::span<const std::string> devices) {
  return std::set<std::string>(devices.begin(), devices.end()).size() == devices.size();
}

std::vector<KernelProtocol> protocols_between(std::span<const std::string> devices, const Topology& topology) {
  if (all_joined_by_nvlink(devices, topology)) return {KernelProtocol::simple, KernelProtocol::ll, KernelProtocol::ll128};
  return {KernelProtocol::simple, KernelProtocol::ll};
}

unsigned channels_for(KernelProtocol protocol, std::uint64_t bytes) {
  return static_cast<unsigned>(
      std::clamp<std::uint64_t>(std::bit_floor(bytes / rates_of(protocol).channel_bytes), 1, kMostChannels));
}

JobMachine on_kernels(const JobMachine& job, std::span<const std::string> devices, const Topology& topology,
                      KernelProtocol protocol, unsigned channels) {
  const KernelRates rates = rates_of(protocol);
  const double moved_gbps = channels * rates.channel_gbps;
  JobMachine m = on_devices(job, devices, topology);
  LinkParameters& link = m.links.front();
  link.latency_us = all_joined_by_nvlink(devices, topology) ? rates.nvlink_us : rates.pcie_us;
  link.bandwidth_gbps = std::min(link.bandwidth_gbps * rates.data_share, moved_gbps);
  m.step_us = m.turn_us = kKernelStepUs;
  m.copy_gbps = std::min(m.copy_gbps, moved_gbps);
  m.reduce_gbps = std::min(m.reduce_gbps, moved_gbps * 2 / 3);
  return m;
}

double launch_us(KernelProtocol protocol) { return rates_of(protocol).launch_us; }

}  // namespace tutti
