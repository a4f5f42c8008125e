// First guesses of what things cost, where no source says. Calibration and tuning files override them.
#pragma once

namespace tutti {

// A firmware's SLIT distance (10 is local) as the latency of fetching a line, taking a local one for 0.1 us.
[[nodiscard]] constexpr double latency_from_slit(double distance) { return distance / 10.0 * 0.1; }

// Between hosts: through the kernel's TCP on ordinary Ethernet, and on InfiniBand-like fabrics.
inline constexpr double kEthernetLatencyUs = 10;
inline constexpr double kFabricLatencyUs = 2;
// 25 Gbit/s, where no NIC says more.
inline constexpr double kNetworkGbps = 25.0 / 8.0;

}  // namespace tutti
