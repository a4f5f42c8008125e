// How the ports of two ranks are joined.
#pragma once

#include <infiniband/verbs.h>

#include <span>
#include <vector>

#include "transports/verbs/ports.h"

namespace tutti::verbs {

// What the other end needs to know of a port.
struct PortSummary {
  Fabric fabric = Fabric::none;
  std::uint8_t near = 1;          // 0: to be used only where what is near does not get there
  std::uint8_t network_bits = 0;  // of the GID; 0: nobody knows
  std::uint8_t reserved = 0;
  std::uint32_t megabits = 0;
  std::array<std::uint8_t, 16> gid{};

  friend bool operator==(const PortSummary&, const PortSummary&) = default;
};
static_assert(sizeof(PortSummary) == 24);
[[nodiscard]] PortSummary summary_of(const Port& port);

// Ports of one kind: in each network that both ends are in, the i-th here with the i-th there, if possible only such as are near
// to their ranks; else, as RoCE v2 may be routed, the i-th with the i-th whatever their networks. Both ends find the same.
struct Pairing {
  std::vector<std::size_t> mine, theirs;  // positions of ports, pair by pair
  std::vector<std::uint32_t> megabits;    // of the slower end
  bool routed = false;                    // between networks
};
// Nothing where the ends have no kind in common, or only such as is not routed, in different networks.
[[nodiscard]] Pairing pair_ports(std::span<const PortSummary> mine, std::span<const PortSummary> theirs);

}  // namespace tutti::verbs
