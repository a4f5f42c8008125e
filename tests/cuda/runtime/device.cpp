// Devices and errors. The numbers of device attributes are the driver's.
#include <cstddef>

#include "runtime.h"

namespace tutti::runtime {
namespace {

thread_local CUresult last_error = kSuccess;
thread_local int device_of_thread = 0;

CUresult initialised() {
  static const CUresult error = cuInit(0);
  return error;
}

// cudaDeviceProp of CUDA 13; what is not named here stays 0.
struct Properties {
  char name[256];
  CUuuid uuid;
  unsigned char luid[8];
  unsigned luid_mask;
  std::size_t total_memory, shared_per_block;
  int registers_per_block, warp_size;
  std::size_t pitch;
  int threads_per_block, block[3], grid[3];
  std::size_t constant_memory;
  int major, minor;
  std::size_t texture_alignment, texture_pitch_alignment;
  int multiprocessors, integrated, maps_host_memory, textures[39];
  std::size_t surface_alignment;
  int concurrent_kernels, ecc, pci_bus, pci_device, pci_domain, tcc, copy_engines, unified_addressing, bus_width, l2_bytes,
      persisting_l2_bytes, threads_per_multiprocessor, stream_priorities, global_l1, local_l1;
  std::size_t shared_per_multiprocessor;
  int registers_per_multiprocessor, managed_memory, board[2], native_atomics, pageable_access, concurrent_managed, preemption,
      host_pointers, cooperative_launch;
  std::size_t shared_per_block_optin;
  int pageable_tables, managed_from_host, blocks_per_multiprocessor, window_bytes;
  std::size_t shared_reserved;
  int rest[76];
};
static_assert(offsetof(Properties, concurrent_kernels) == 560 && offsetof(Properties, shared_reserved) == 696 &&
              sizeof(Properties) == 1008);

struct Row {
  int Properties::*field;
  int attribute;
};
constexpr Row kRows[] = {
    {&Properties::registers_per_block, 12},
    {&Properties::warp_size, 10},
    {&Properties::threads_per_block, 1},
    {&Properties::major, 75},
    {&Properties::minor, 76},
    {&Properties::multiprocessors, 16},
    {&Properties::maps_host_memory, 19},
    {&Properties::concurrent_kernels, 31},
    {&Properties::pci_bus, 33},
    {&Properties::pci_device, 34},
    {&Properties::pci_domain, 50},
    {&Properties::copy_engines, 40},
    {&Properties::unified_addressing, 41},
    {&Properties::l2_bytes, 38},
    {&Properties::threads_per_multiprocessor, 39},
    {&Properties::registers_per_multiprocessor, 82},
    {&Properties::managed_memory, 83},
};

// The runtime never releases a context.
CUresult set_device(int device) {
  CUcontext context = nullptr;
  CUresult error = initialised();
  if (error == kSuccess) error = cuDevicePrimaryCtxRetain(&context, device);
  if (error == kSuccess) error = cuCtxSetCurrent(context);
  if (error == kSuccess) device_of_thread = device;
  return error;
}

}  // namespace

CUresult noted(CUresult error) {
  if (error != kSuccess && error != kNotReady) last_error = error;
  return error;
}

CUresult enter() {
  CUcontext context = nullptr;
  if (cuCtxGetCurrent(&context) == kSuccess && context != nullptr) return kSuccess;
  return set_device(device_of_thread);
}

}  // namespace tutti::runtime

using namespace tutti::runtime;

extern "C" {

CUresult cudaGetLastError() {
  const CUresult error = last_error;
  last_error = kSuccess;
  return error;
}
CUresult cudaPeekAtLastError() { return last_error; }
const char* cudaGetErrorName(CUresult error) {
  const char* text = nullptr;
  cuGetErrorName(error, &text);
  return text != nullptr ? text : "unknown error";
}
const char* cudaGetErrorString(CUresult error) {
  const char* text = nullptr;
  cuGetErrorString(error, &text);
  return text != nullptr ? text : "unknown error";
}

CUresult cudaRuntimeGetVersion(int* version) {
  *version = 13020;
  return kSuccess;
}
CUresult cudaDriverGetVersion(int* version) { return noted(cuDriverGetVersion(version)); }

CUresult cudaGetDeviceCount(int* count) {
  *count = 0;
  const CUresult error = initialised();
  return noted(error != kSuccess ? error : cuDeviceGetCount(count));
}
CUresult cudaGetDevice(int* device) {
  *device = device_of_thread;
  return kSuccess;
}
CUresult cudaSetDevice(int device) { return noted(set_device(device)); }
CUresult cudaDeviceGetAttribute(int* value, int attribute, int device) {
  return in_context(cuDeviceGetAttribute, value, attribute, device);
}
CUresult cudaGetDeviceProperties(Properties* properties, int device) {
  *properties = {};
  if (const CUresult error = in_context(cuDeviceGetName, properties->name, 256, device); error != kSuccess) return error;
  for (const auto& [field, attribute] : kRows) cuDeviceGetAttribute(&(properties->*field), attribute, device);
  cuDeviceTotalMem_v2(&properties->total_memory, device);
  cuDeviceGetUuid_v2(&properties->uuid, device);
  properties->shared_per_block = std::size_t{48} << 10;
  properties->shared_per_block_optin = properties->shared_per_multiprocessor = std::size_t{227} << 10;
  properties->blocks_per_multiprocessor = 32;
  properties->block[0] = properties->block[1] = 1024;
  properties->block[2] = 64;
  properties->grid[0] = properties->grid[1] = properties->grid[2] = 0xffff;
  return kSuccess;
}
CUresult cudaDeviceGetPCIBusId(char* text, int size, int device) { return in_context(cuDeviceGetPCIBusId, text, size, device); }
CUresult cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return in_context(cuCtxGetStreamPriorityRange, least, greatest);
}
CUresult cudaDeviceCanAccessPeer(int* can, int device, int peer) { return in_context(cuDeviceCanAccessPeer, can, device, peer); }
CUresult cudaDeviceEnablePeerAccess(int peer, unsigned flags) {
  CUcontext context = nullptr;
  const CUresult error = in_context(cuDevicePrimaryCtxRetain, &context, peer);
  return error != kSuccess ? error : in_context(cuCtxEnablePeerAccess, context, flags);
}
CUresult cudaDeviceSynchronize() { return in_context(cuCtxSynchronize); }

CUresult cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned version, std::uint64_t flags,
                                          CUdriverProcAddressQueryResult* status) {
  return noted(cuGetProcAddress_v2(name, function, static_cast<int>(version), flags, status));
}

}  // extern "C"
