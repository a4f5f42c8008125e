// What /sys knows about network interfaces that hwloc does not say: their speed, and those on no PCI bus (veth, virtual).
// Source: Linux kernel documentation, ABI/testing/sysfs-class-net and sysfs-class-infiniband.
#pragma once

#include <filesystem>

#include "tutti/topology.h"

namespace tutti {

// Adds interfaces that are up and not known yet to the (only) machine, and one network with a link of every NIC's speed.
void add_network(Topology& topology, const std::filesystem::path& sys_class = "/sys/class");

}  // namespace tutti
