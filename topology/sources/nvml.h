// What NVIDIA's management library tells of GPUs: names, memory, NVLinks. The few functions that are used are a table: filled
// from libnvidia-ml.so.1 at run time (nothing is linked, no header of NVIDIA's is needed), or by a test.
// Source: NVML API Reference (functions, return values, struct nvmlPciInfo_t and nvmlMemory_t).
#pragma once

#include <cstdint>

#include "tutti/result.h"
#include "tutti/topology.h"

namespace tutti {

struct NvmlPci {
  char old_bus_id[16];
  unsigned domain, bus, device;
  unsigned device_and_vendor, subsystem;
  char bus_id[32];
};

struct NvmlMemory {
  unsigned long long total, free, used;
};

using NvmlDevice = void*;

// All return 0 for success.
struct NvmlTable {
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*count)(unsigned* devices) = nullptr;
  int (*device)(unsigned index, NvmlDevice* device) = nullptr;
  int (*pci)(NvmlDevice device, NvmlPci* pci) = nullptr;
  int (*name)(NvmlDevice device, char* name, unsigned length) = nullptr;
  int (*memory)(NvmlDevice device, NvmlMemory* memory) = nullptr;
  int (*capability)(NvmlDevice device, int* major, int* minor) = nullptr;
  int (*link_state)(NvmlDevice device, unsigned link, unsigned* active) = nullptr;
  int (*link_remote)(NvmlDevice device, unsigned link, NvmlPci* pci) = nullptr;
  // What kind of thing is at the other end; older drivers lack it.
  int (*link_remote_kind)(NvmlDevice device, unsigned link, unsigned* kind) = nullptr;
};

// Code::environment, with the reason, where there is none.
[[nodiscard]] Result<NvmlTable> load_nvml();

// Fills in what the graph's GPUs lack, and their NVLinks unless there are some already, with an nvswitch for each other end
// that is one. What the library does not know stays as it is.
void add_nvml(Topology& topology, const NvmlTable& nvml);

}  // namespace tutti
