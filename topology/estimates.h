// First guesses of what things cost, where no source says. Calibration and tuning files override them.
#pragma once

#include "tutti/topology.h"

namespace tutti {

// A firmware's SLIT distance (10 is local) as the latency of fetching a line, taking a local one for 0.1 us.
[[nodiscard]] constexpr double latency_from_slit(double distance) { return distance / 10.0 * 0.1; }

// Between hosts: through the kernel's TCP on ordinary Ethernet, and on InfiniBand-like fabrics.
inline constexpr double kEthernetLatencyUs = 10;
inline constexpr double kFabricLatencyUs = 2;
// 25 Gbit/s, where no NIC says more.
inline constexpr double kNetworkGbps = 25.0 / 8.0;

// What one message between GPUs costs at the least over NVLink or xGMI, through PCIe switches and packages, and through the
// network: the constants of NCCL's own model for its fastest protocol (NCCL 2.30, src/graph/tuning.cc).
inline constexpr double kNvlinkHopUs = 0.6, kPcieHopUs = 1.0, kNetworkHopUs = 2.7;

// What one core copies from memory.
inline constexpr double kCoreGbps = 12;

// A link whose bandwidth nobody gives, in each direction: one NVLink of the second to the fourth generation (NVIDIA's papers on
// V100, A100 and H100: 25 GB/s), one xGMI link of 16 lanes (AMD CDNA 2: 50), one UPI link between packages (Intel, 10.4 GT/s of 2
// bytes: 20.8), 16 lanes of PCIe 3 after its overheads.
[[nodiscard]] constexpr double usual_gbps(LinkKind kind) {
  switch (kind) {
    case LinkKind::nvlink:
      return 25;
    case LinkKind::xgmi:
      return 50;
    case LinkKind::memory:
      return 20.8;
    case LinkKind::pcie:
      return 12;
    case LinkKind::network:
      return kNetworkGbps;
  }
  return kNetworkGbps;
}

}  // namespace tutti
