// What connections between devices carry, by their generation: gigabytes per second in each direction, as the makers state it
// (the encoding is taken off, protocols are not). 0: not known.
// Sources: PCI-SIG's frequently asked questions (encodings of generations 1 to 6); NVIDIA's architecture white papers of P100,
// V100, A100, H100 and Blackwell (NVLink); AMD's Instinct data sheets of MI50, MI100, MI250X, MI300X and MI350X (Infinity
// Fabric).
#pragma once

#include <string_view>

namespace tutti {

// A PCIe link of so many lanes at a rate of 2.5, 5, 8, 16, 32 or 64 GT/s.
[[nodiscard]] double pcie_gbps(double gigatransfers, int lanes);

// One NVLink of a generation, 1 to 5.
[[nodiscard]] double nvlink_gbps(int generation);

// One NVLink of a GPU with this compute capability, times ten: 80, 90, 100.
[[nodiscard]] double nvlink_gbps_of_capability(int capability);

// One xGMI link of an AMD GPU: "gfx90a", or RCCL's older numbers such as "908".
[[nodiscard]] double xgmi_gbps(std::string_view architecture);

}  // namespace tutti
