// Network interfaces with what /sys says about them.
#pragma once

#include "doctor/system.h"

namespace tutti::doctor {

struct NetworkInterface {
  InterfaceAddress address;
  double megabits = 0;  // 0: the driver does not say
  int mtu = 0;
  bool half_duplex = false;
  bool is_virtual = false;  // leads to containers or virtual machines of this host
  std::string what;         // why it is taken for that
};
// One for each address, in the kernel's order.
[[nodiscard]] std::vector<NetworkInterface> network_interfaces(const System& system);

// "12.5 Gbit/s", or that it is not known (0).
[[nodiscard]] std::string shown_speed(double megabits);

}  // namespace tutti::doctor
