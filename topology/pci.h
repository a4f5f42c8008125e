// What is common to the sources that read a tree of PCI devices.
// Source: PCI Code and ID Assignment Specification (device classes).
#pragma once

#include <string>
#include <string_view>

#include "tutti/topology.h"

namespace tutti {

inline constexpr unsigned kPciBridge = 0x0604, kPciNvswitch = 0x0680;
inline constexpr unsigned kPciInfiniband = 0x0207;
inline constexpr unsigned kPciVendorNvidia = 0x10de, kPciVendorAmd = 0x1002;

[[nodiscard]] constexpr bool is_pci_network(unsigned device_class) { return device_class >> 8 == 0x02; }

// For names that end up on people's terminals: printable, not too long, no blanks at the end.
[[nodiscard]] std::string printable_text(std::string_view text);

// Bridges with less than two things below say nothing about who shares what: they go, what is below moves up, and its PCIe
// link gets the slower of the two speeds. `topology` has the PCIe links as {parent, device}.
void drop_plain_bridges(Topology& topology);

}  // namespace tutti
