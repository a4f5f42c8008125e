// Whether a machine is a virtual one. Such machines show a tree that the hypervisor made up: cores in sockets of their own, no
// PCI switches. So whoever decides by the tree should know.
// Sources: the kernel's documentation of /proc/cpuinfo and sysfs (hypervisor flag, /sys/class/dmi, /sys/hypervisor); the DMI
// names that hypervisors and clouds document for telling their machines.
#pragma once

#include <filesystem>
#include <string>

#include "tutti/topology.h"

namespace tutti {

// What is not in the tree.
struct MachineSigns {
  std::string vendor, product;   // the firmware's (DMI)
  std::string processor;         // its model's name
  std::string hypervisor;        // its name, where the kernel tells: "xen"
  bool hypervisor_flag = false;  // the processor tells programs that they run under one
};

// Of the running machine; `root` is "/" but in tests.
[[nodiscard]] MachineSigns read_machine_signs(const std::filesystem::path& root = "/");

// What shows that this machine of the topology is a virtual one, in words; empty: nothing does.
[[nodiscard]] std::string signs_of_virtual_machine(const MachineSigns& signs, const Topology& topology, NodeId machine);

}  // namespace tutti
