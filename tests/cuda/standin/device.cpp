// What the devices say about themselves.
#include <cstdio>
#include <cstring>
#include <map>

#include "context.h"

using namespace standin;

namespace {

constexpr int kLastAttribute = 147;

// Numbers are those of CUdevice_attribute. Where a program may choose by them, they are a datacentre GPU's.
const std::map<int, int>& attributes() {
  static const std::map<int, int> values = {
      {1, 1024},        // MAX_THREADS_PER_BLOCK
      {2, 1024},        // MAX_BLOCK_DIM_X
      {3, 1024},        // MAX_BLOCK_DIM_Y
      {4, 64},          // MAX_BLOCK_DIM_Z
      {5, 2147483647},  // MAX_GRID_DIM_X
      {6, 65535},       // MAX_GRID_DIM_Y
      {7, 65535},       // MAX_GRID_DIM_Z
      {8, 48 << 10},    // MAX_SHARED_MEMORY_PER_BLOCK
      {10, 32},         // WARP_SIZE
      {12, 65536},      // MAX_REGISTERS_PER_BLOCK
      {13, 1000000},    // CLOCK_RATE in kHz
      {15, 1},          // GPU_OVERLAP
      {16, 16},         // MULTIPROCESSOR_COUNT
      {19, 1},          // CAN_MAP_HOST_MEMORY
      {31, 1},          // CONCURRENT_KERNELS
      {36, 1000000},    // MEMORY_CLOCK_RATE in kHz
      {37, 1024},       // GLOBAL_MEMORY_BUS_WIDTH
      {38, 50 << 20},   // L2_CACHE_SIZE
      {39, 2048},       // MAX_THREADS_PER_MULTIPROCESSOR
      {40, 3},          // ASYNC_ENGINE_COUNT
      {41, 1},          // UNIFIED_ADDRESSING
      {75, 9},          // COMPUTE_CAPABILITY_MAJOR
      {76, 0},          // COMPUTE_CAPABILITY_MINOR
      {78, 1},          // STREAM_PRIORITIES_SUPPORTED
      {81, 228 << 10},  // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
      {82, 65536},      // MAX_REGISTERS_PER_MULTIPROCESSOR
      {83, 1},          // MANAGED_MEMORY
      {89, 1},          // CONCURRENT_MANAGED_ACCESS
      {91, 1},          // CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM
      {92, 1},          // CAN_USE_STREAM_MEM_OPS_V1
      {93, 1},          // CAN_USE_64_BIT_STREAM_MEM_OPS_V1
      {94, 1},          // CAN_USE_STREAM_WAIT_VALUE_NOR_V1
      {97, 227 << 10},  // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
      {98, 1},          // CAN_FLUSH_REMOTE_WRITES
      {99, 1},          // HOST_REGISTER_SUPPORTED
      {122, 1},         // CAN_USE_64_BIT_STREAM_MEM_OPS
      {123, 1},         // CAN_USE_STREAM_WAIT_VALUE_NOR
      {134, -1},        // HOST_NUMA_ID
  };
  return values;
}

bool exists(CUdevice device) { return device >= 0 && device < settings().devices; }

// The bus on which a device pretends to be.
int bus(CUdevice device) { return device + 1; }

}  // namespace

CUresult cuDeviceGetCount(int* count) {
  return call([&] {
    if (!count) return kInvalidValue;
    *count = settings().devices;
    return kSuccess;
  });
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  return call([&] {
    if (!device) return kInvalidValue;
    if (!exists(ordinal)) return kInvalidDevice;
    *device = ordinal;
    return kSuccess;
  });
}

CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice device) {
  return call([&] {
    if (!value || attribute < 1 || attribute > kLastAttribute) return kInvalidValue;
    if (!exists(device)) return kInvalidDevice;
    constexpr int kPciBusId = 33;
    const auto found = attributes().find(attribute);
    *value = attribute == kPciBusId ? bus(device) : found == attributes().end() ? 0 : found->second;
    return kSuccess;
  });
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  return call([&] {
    if (!name || length < 1) return kInvalidValue;
    if (!exists(device)) return kInvalidDevice;
    std::snprintf(name, static_cast<std::size_t>(length), "Stand-in for a GPU");
    return kSuccess;
  });
}

CUresult cuDeviceGetPCIBusId(char* id, int length, CUdevice device) {
  return call([&] {
    constexpr int kLength = 13;
    if (!id || length < kLength) return kInvalidValue;
    if (!exists(device)) return kInvalidDevice;
    std::snprintf(id, static_cast<std::size_t>(length), "0000:%02X:00.0", static_cast<unsigned>(bus(device)) & 0xFFU);
    return kSuccess;
  });
}

CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  return call([&] {
    if (!uuid) return kInvalidValue;
    if (!exists(device)) return kInvalidDevice;
    std::memcpy(uuid->bytes, "tutti stand-in\0", sizeof uuid->bytes);
    uuid->bytes[15] = static_cast<unsigned char>(bus(device));
    return kSuccess;
  });
}

CUresult cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice device) {
  return call([&] {
    if (!bytes) return kInvalidValue;
    if (!exists(device)) return kInvalidDevice;
    *bytes = settings().memory_bytes;
    return kSuccess;
  });
}

CUresult cuDeviceCanAccessPeer(int* can, CUdevice device, CUdevice peer) {
  return call([&] {
    if (!can) return kInvalidValue;
    if (!exists(device) || !exists(peer)) return kInvalidDevice;
    *can = device != peer;
    return kSuccess;
  });
}
