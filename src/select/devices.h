// What calls cost on devices that map each other's memory: made of operations of CUDA streams, or done by one kernel.
#pragma once

#include <span>

#include "select/select.h"
#include "topology/gpu_paths.h"

namespace tutti {

// Which device each rank has, and what lies between them.
struct DeviceLayout {
  std::vector<std::string> devices;  // of each rank; equal where they are the same
  std::vector<int> device_of;        // of each rank: an index into gpus
  std::vector<NodeId> gpus;          // kNoNode: the description has none like it
  std::vector<GpuPath> paths;        // gpu_paths()
  std::vector<LevelGroups> levels;   // of ranks, innermost first
  std::vector<GpuPath> links;        // as JobMachine::links: the slowest paths
  std::vector<SharedWay> ways_out;   // of ranks
  int hosts = 1;                     // that the description has them on

  [[nodiscard]] const GpuPath& path(std::size_t a, std::size_t b) const { return paths[a * gpus.size() + b]; }
  [[nodiscard]] std::size_t device(Rank rank) const {
    return static_cast<std::size_t>(device_of[static_cast<std::size_t>(rank)]);
  }
};
// The devices' names, PCI bus ids say, and what they are in the topology, by rank.
[[nodiscard]] DeviceLayout lay_out(std::span<const std::string> devices, std::span<const NodeId> gpus, const Topology& topology);
// By PCI bus ids, as CUDA or the topology has them.
[[nodiscard]] DeviceLayout lay_out(std::span<const std::string> bus_ids, const Topology& topology);
// The GPU with this PCI bus id, or kNoNode.
[[nodiscard]] NodeId gpu_at(const Topology& topology, std::string_view bus_id);

// The same ranks as seen from their devices, which each has a part of where ranks share one.
[[nodiscard]] JobMachine on_devices(const JobMachine& job, const DeviceLayout& layout);

// How a kernel's messages lie (exec/gpu/device/op.h).
enum class KernelProtocol : std::uint8_t { simple, ll, ll128 };
inline constexpr int kKernelProtocols = 3;
[[nodiscard]] std::string_view name(KernelProtocol protocol) noexcept;  // "LL128"

// Why no kernel may do calls of these devices, with any protocol or with this one; empty where it may. A kernel that waits for
// other ranks may keep that of a rank on the same device from running; ll128 is only for links where stores of whole lines arrive
// at once, NVLink.
[[nodiscard]] std::string kernels_refused(const DeviceLayout& layout);
[[nodiscard]] std::string protocol_refused(const DeviceLayout& layout, KernelProtocol protocol);

// How many blocks work on a call of so many bytes: as many as have enough to do, and as the fastest of the links can feed.
[[nodiscard]] unsigned channels_for(KernelProtocol protocol, std::uint64_t bytes, const DeviceLayout& layout);
// As on_devices, and what a launch costs besides.
[[nodiscard]] JobMachine on_kernels(const JobMachine& job, const DeviceLayout& layout, KernelProtocol protocol,
                                    unsigned channels);
[[nodiscard]] double launch_us(KernelProtocol protocol);

// Why one rank cannot do calls for all; empty where it can. It must see all their memory.
[[nodiscard]] std::string one_pass_refused(const DeviceLayout& layout);
// What such a call costs that reads and writes so many bytes.
[[nodiscard]] double one_pass_us(Rank ranks, std::uint64_t bytes);

}  // namespace tutti
