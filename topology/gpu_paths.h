// What lies between GPUs, and what it costs to cross it: the one place where that is priced.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "tutti/topology.h"

namespace tutti {

// Nearest first. A processor is a socket or, in descriptions without sockets, a NUMA node.
enum class PathKind : std::uint8_t { same_gpu, nvlink, nvswitch, xgmi, pci_switch, processor, processors, network, unknown };
inline constexpr int kPathKinds = 9;
[[nodiscard]] std::string_view name(PathKind kind) noexcept;         // "pci_switch"
[[nodiscard]] std::string_view description(PathKind kind) noexcept;  // "PCIe below one switch"
// Over links that GPUs have of their own.
[[nodiscard]] constexpr bool is_fast(PathKind kind) noexcept { return kind <= PathKind::xgmi; }

struct GpuPath {
  PathKind kind = PathKind::unknown;
  double bandwidth_gbps = 0;         // of the narrowest link on the way, in one direction, if nobody else uses it
  double latency_us = 0;             // of one message
  Origin origin = Origin::estimate;  // who says how wide that link is
  std::vector<NodeId> through = {};  // what is passed, from one GPU to the other, without them
};

// The innermost level that two ranks share; as many as there are levels when none.
[[nodiscard]] std::size_t shared_level(std::span<const LevelGroups> levels, std::size_t a, std::size_t b);

// One that is both of these, at its worst.
[[nodiscard]] GpuPath slower(const GpuPath& a, const GpuPath& b);

// From each of these GPUs to each: entry i * gpus.size() + j. They are different; of kNoNode nothing is known, and there may be
// several. Where links of their own join two GPUs, directly or through switches, all of these links count together.
[[nodiscard]] std::vector<GpuPath> gpu_paths(const Topology& topology, std::span<const NodeId> gpus);

// Ranks, `size` by `size` in their order, that have one way out, below a PCIe switch or out of a processor.
struct SharedWay {
  Rank size = 0;
  double gbps = 0;  // the narrowest
  friend bool operator==(const SharedWay&, const SharedWay&) = default;
};
// `gpus`: of each rank. Innermost first; only ways by which all data of these ranks goes to others.
[[nodiscard]] std::vector<SharedWay> shared_ways(const Topology& topology, std::span<const NodeId> gpus);

}  // namespace tutti
