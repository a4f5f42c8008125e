// What calls cost that are made of operations of CUDA streams, on devices that map each other's memory.
#pragma once

#include <span>

#include "select/select.h"

namespace tutti {

// The same ranks as seen from their devices: one link between any two, and where ranks share a device, its share of it.
// `devices`: by rank, equal where they are the same; in their order of the PCI bus, say.
[[nodiscard]] JobMachine on_devices(const JobMachine& job, std::span<const std::string> devices, const Topology& topology);

}  // namespace tutti
