// First guesses of what things cost, where no source says. Calibration and tuning files override them.
#pragma once

#include "tutti/topology.h"

namespace tutti {

// A firmware's SLIT distance (10 is local) as the latency of fetching a line, taking a local one for 0.1 us.
[[nodiscard]] constexpr double latency_from_slit(double distance) { return distance / 10.0 * 0.1; }

// Between hosts: through the kernel's TCP on ordinary Ethernet, and on InfiniBand-like fabrics.
inline constexpr double kEthernetLatencyUs = 10;
inline constexpr double kFabricLatencyUs = 2;
// What one message between GPUs costs at the least over NVLink or xGMI, through PCIe switches and packages, and through the
// network: the constants of NCCL's own model for its fastest protocol (NCCL 2.30, src/graph/tuning.cc).
inline constexpr double kNvlinkHopUs = 0.6, kPcieHopUs = 1.0, kNetworkHopUs = 2.7;

// What one core copies from memory.
inline constexpr double kCoreGbps = 12;

}  // namespace tutti
