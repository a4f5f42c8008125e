#include "select/devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "topology/estimates.h"

namespace tutti {
namespace {

// What a message waits for besides its way: a copy, a word that is written and a word that is waited for; and what each further
// operation takes of a stream. Of one device's memory both directions share what it copies (BabelStream on an H200: 4.0 TB/s read
// and written).
constexpr double kMessageUs = 6, kOperationUs = 2, kDeviceCopyGbps = 2000;
// Between two processes on one device, which changes from one to the other for it (H200: 8 bytes from one to the other and back
// took 175 us).
constexpr double kChangeUs = 80;

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

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// "0000:3b:00.0" however it is written: some have capitals, or a domain of eight digits.
std::string plain_bus_id(std::string_view bus_id) {
  std::string plain;
  for (const char c : bus_id) plain += c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  return plain.size() == 16 && plain.starts_with("0000") ? plain.substr(4) : plain;
}

// What NVLink or a socket joins, of ranks: those of one GPU are as near as ranks on one core.
std::vector<LevelGroups> levels_of(const DeviceLayout& layout, const Topology& topology) {
  std::vector<NodeId> known;
  for (const NodeId gpu : layout.gpus)
    if (gpu != kNoNode) known.push_back(gpu);
  const std::vector<RankLocation> places = locations(topology, known);
  std::vector<RankLocation> of_ranks;
  for (const int device : layout.device_of) {
    const NodeId gpu = layout.gpus[at(device)];
    const auto place = std::ranges::find(known, gpu);
    of_ranks.push_back(place == known.end() ? RankLocation{} : places[static_cast<std::size_t>(place - known.begin())]);
    of_ranks.back().core = device;
  }
  return levels(of_ranks);
}

// The slowest path of each level, and between groups of the outermost.
std::vector<GpuPath> links_of(const DeviceLayout& layout) {
  std::vector<Rank> first(layout.gpus.size(), kNoRank), second(layout.gpus.size(), kNoRank);
  for (Rank r = 0; r < static_cast<Rank>(layout.device_of.size()); ++r) {
    const std::size_t device = layout.device(r);
    if (first[device] == kNoRank)
      first[device] = r;
    else if (second[device] == kNoRank)
      second[device] = r;
  }
  std::vector<std::optional<GpuPath>> found(layout.levels.size() + 1);
  const auto add = [&](Rank a, Rank b, const GpuPath& path) {
    const std::size_t l = shared_level(layout.levels, at(a), at(b));
    found[l] = found[l] ? slower(*found[l], path) : slower(path, path);
  };
  for (std::size_t a = 0; a < layout.gpus.size(); ++a) {
    if (second[a] != kNoRank) add(first[a], second[a], layout.path(a, a));
    for (std::size_t b = 0; b < layout.gpus.size(); ++b)
      if (a != b) add(first[a], first[b], layout.path(a, b));
  }
  std::vector<GpuPath> links;
  links.reserve(found.size());
  for (const auto& link : found) links.push_back(link.value_or(links.empty() ? layout.path(0, 0) : links.back()));
  return links;
}

// The name of a path's ends, for people: "0000:3b:00.0 and 0000:af:00.0".
std::string ends_of(const DeviceLayout& layout, std::size_t a, std::size_t b) {
  const auto name = [&](std::size_t device) {
    return layout.devices[static_cast<std::size_t>(std::ranges::find(layout.device_of, static_cast<int>(device)) -
                                                   layout.device_of.begin())];
  };
  return fmt::format("{} and {}", name(a), name(b));
}

bool by_nvlink(PathKind kind) { return kind <= PathKind::nvswitch; }

JobMachine with_links(const JobMachine& job, const DeviceLayout& layout) {
  JobMachine m;
  m.ranks = job.ranks;
  m.on_gpus = true;
  for (const LevelGroups& level : layout.levels) {
    m.levels.emplace_back(level.group_of);
    m.level_names.push_back(level.level);
  }
  for (const GpuPath& path : layout.links) m.links.push_back({path.latency_us, path.bandwidth_gbps, path.origin});
  m.ranks_per_host = m.core_sharers = job.ranks;
  m.cores_per_host = static_cast<int>(layout.gpus.size());
  m.copy_gbps = kDeviceCopyGbps;
  m.reduce_gbps = kDeviceCopyGbps * 2 / 3;
  m.algorithms = job.algorithms;
  return m;
}

// `share` of what they carry is data.
void add_ways_out(JobMachine& m, const DeviceLayout& layout, double share) {
  for (const SharedWay& way : layout.ways_out)
    if (const double uplinks = way.gbps * share / m.links.back().bandwidth_gbps; uplinks < way.size)
      m.pods.push_back({way.size, uplinks});
}

}  // namespace

NodeId gpu_at(const Topology& topology, std::string_view bus_id) {
  const std::string wanted = plain_bus_id(bus_id);
  for (const NodeId gpu : gpus(topology))
    if (plain_bus_id(topology.nodes[at(gpu)].pci_bus_id) == wanted) return gpu;
  return kNoNode;
}

DeviceLayout lay_out(std::span<const std::string> devices, std::span<const NodeId> gpus, const Topology& topology) {
  DeviceLayout layout;
  layout.devices.assign(devices.begin(), devices.end());
  std::map<std::string, int> number;
  for (std::size_t r = 0; r < devices.size(); ++r) {
    const auto [device, fresh] = number.try_emplace(devices[r], static_cast<int>(layout.gpus.size()));
    if (fresh) layout.gpus.push_back(gpus[r]);
    layout.device_of.push_back(device->second);
  }
  layout.paths = gpu_paths(topology, layout.gpus);
  layout.levels = levels_of(layout, topology);
  layout.links = links_of(layout);
  layout.ways_out = shared_ways(topology, gpus);
  std::set<NodeId> machines;
  for (const NodeId gpu : gpus)
    if (gpu != kNoNode) machines.insert(enclosing(topology, gpu, NodeKind::machine));
  layout.hosts = std::max(1, static_cast<int>(machines.size()));
  return layout;
}

DeviceLayout lay_out(std::span<const std::string> bus_ids, const Topology& topology) {
  std::vector<NodeId> gpus;
  for (const std::string& bus_id : bus_ids) gpus.push_back(gpu_at(topology, bus_id));
  return lay_out(bus_ids, gpus, topology);
}

JobMachine on_devices(const JobMachine& job, const DeviceLayout& layout) {
  JobMachine m = with_links(job, layout);
  for (std::size_t l = 0; l < m.links.size(); ++l)
    m.links[l].latency_us += layout.links[l].kind == PathKind::same_gpu ? kChangeUs : kMessageUs;
  m.step_us = m.turn_us = kOperationUs;
  add_ways_out(m, layout, 1);
  return m;
}

std::string_view name(KernelProtocol protocol) noexcept {
  constexpr std::string_view kNames[kKernelProtocols] = {"simple", "LL", "LL128"};
  return kNames[static_cast<std::size_t>(protocol)];
}

std::string kernels_refused(const DeviceLayout& layout) {
  std::map<int, std::size_t> first;
  for (std::size_t r = 0; r < layout.device_of.size(); ++r)
    if (const auto [other, fresh] = first.try_emplace(layout.device_of[r], r); !fresh)
      return fmt::format("ranks {} and {} share {}, where a kernel that waits may keep the other's from running", other->second,
                         r, layout.devices[r]);
  return "";
}

std::string protocol_refused(const DeviceLayout& layout, KernelProtocol protocol) {
  if (protocol != KernelProtocol::ll128) return "";
  for (std::size_t a = 0; a < layout.gpus.size(); ++a)
    for (std::size_t b = a + 1; b < layout.gpus.size(); ++b)
      if (const GpuPath& path = layout.path(a, b); !by_nvlink(path.kind))
        return fmt::format("only over NVLink stores of 128 bytes arrive at once; between {} lies another way ({})",
                           ends_of(layout, a, b), description(path.kind));
  return "";
}

unsigned channels_for(KernelProtocol protocol, std::uint64_t bytes, const DeviceLayout& layout) {
  const KernelRates rates = rates_of(protocol);
  const double fastest = std::ranges::max_element(layout.links, {}, &GpuPath::bandwidth_gbps)->bandwidth_gbps;
  const double fed = std::clamp<double>(std::ceil(fastest * rates.data_share / rates.channel_gbps), 1, kMostChannels);
  return static_cast<unsigned>(
      std::clamp<std::uint64_t>(std::bit_floor(bytes / rates.channel_bytes), 1, static_cast<std::uint64_t>(fed)));
}

JobMachine on_kernels(const JobMachine& job, const DeviceLayout& layout, KernelProtocol protocol, unsigned channels) {
  const KernelRates rates = rates_of(protocol);
  const double moved_gbps = channels * rates.channel_gbps;
  JobMachine m = with_links(job, layout);
  for (std::size_t l = 0; l < m.links.size(); ++l) {
    const GpuPath& path = layout.links[l];
    LinkParameters& link = m.links[l];
    link.latency_us = is_fast(path.kind) ? rates.nvlink_us : rates.pcie_us + std::max(0.0, path.latency_us - kPcieHopUs);
    link.bandwidth_gbps = std::min(link.bandwidth_gbps * rates.data_share, moved_gbps);
  }
  m.step_us = m.turn_us = kKernelStepUs;
  m.copy_gbps = std::min(m.copy_gbps, moved_gbps);
  m.reduce_gbps = std::min(m.reduce_gbps, moved_gbps * 2 / 3);
  add_ways_out(m, layout, rates.data_share);
  return m;
}

double launch_us(KernelProtocol protocol) { return rates_of(protocol).launch_us; }

std::string one_pass_refused(const DeviceLayout& layout) {
  return layout.gpus.size() == 1 ? "" : "the ranks are on several GPUs, of which none sees all their memory as its own";
}

// Measured on an H200 with 2, 4 and 8 ranks as processes, 8 bytes to 1 GiB (bench/results/gpu.txt): for each rank the stream
// waits twice, which is most of it; the kernel reads and writes 2.9 to 3.6 TB/s.
double one_pass_us(Rank ranks, std::uint64_t bytes) {
  constexpr double kStartUs = 3, kRankUs = 13, kGbps = 3400;
  return kStartUs + kRankUs * ranks + static_cast<double>(bytes) / (1e3 * kGbps);
}

}  // namespace tutti
