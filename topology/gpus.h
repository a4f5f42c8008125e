// What joins GPUs, and hosts.
#pragma once

#include <span>
#include <vector>

#include "tutti/topology.h"

namespace tutti {

[[nodiscard]] constexpr bool is_fast(LinkKind kind) noexcept { return kind == LinkKind::nvlink || kind == LinkKind::xgmi; }

// For each of these nodes the group of those that NVLink or xGMI joins each with each, directly or through NVSwitches; -1 where
// that is nobody else. Where such groups would be of different sizes only wider links count, if that makes them equal (the two
// halves of an MI250 among eight of them).
[[nodiscard]] std::vector<int> nvlink_groups(const Topology& topology, std::span<const NodeId> ends);

// The number of the host that each node is in; -1 outside of hosts.
[[nodiscard]] std::vector<int> host_of_nodes(const Topology& topology);

// For each host a number that hosts plugged into the same network switches have in common; -1 where it is plugged into none.
[[nodiscard]] std::vector<int> leaf_of_hosts(const Topology& topology);

}  // namespace tutti
