// Speeds of PCIe links as sysfs tells them. hwloc tells those of the moment, and a GPU that sleeps slows its link down.
// Source: Linux kernel documentation, ABI/testing/sysfs-bus-pci.
#pragma once

#include <filesystem>

#include "tutti/topology.h"

namespace tutti {

// Links of devices to what is above them in the graph get the fastest that both ends of each link on the way can do.
void add_pci_speeds(Topology& topology, const std::filesystem::path& pci_devices = "/sys/bus/pci/devices");

}  // namespace tutti
