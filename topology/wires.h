// What connections between devices carry, by their generation: gigabytes per second in each direction, as the makers state it
// (the encoding is taken off, protocols are not). 0: not known.
// Sources: PCI-SIG's frequently asked questions (encodings of generations 1 to 6); NVIDIA's architecture white papers of P100,
// V100, A100, H100 and Blackwell (NVLink); AMD's Instinct data sheets of MI50, MI100, MI250X, MI300X and MI350X (Infinity
// Fabric).
#pragma once

#include <string_view>

#include "tutti/topology.h"

namespace tutti {

// Where no NIC says more: 25 Gbit/s.
inline constexpr double kNetworkGbps = 25.0 / 8.0;

// A PCIe link of so many lanes at a rate of 2.5, 5, 8, 16, 32 or 64 GT/s.
[[nodiscard]] double pcie_gbps(double gigatransfers, int lanes);

// One NVLink of a generation, 1 to 5.
[[nodiscard]] double nvlink_gbps(int generation);

// One NVLink of a GPU with this compute capability, times ten: 80, 90, 100.
[[nodiscard]] double nvlink_gbps_of_capability(int capability);

// One xGMI link of an AMD GPU: "gfx90a", or RCCL's older numbers such as "908".
[[nodiscard]] double xgmi_gbps(std::string_view architecture);

// A link of which nobody says more than its kind: one NVLink of the second to the fourth generation, one xGMI link of CDNA 2, one
// UPI link between packages (Intel, 10.4 GT/s of 2 bytes), 16 lanes of PCIe 3 after its overheads.
[[nodiscard]] double usual_gbps(LinkKind kind);

}  // namespace tutti
