// Devices and errors. The runtime's numbers of errors and of device attributes are the driver's.
#include <dlfcn.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <string>

#include "runtime.h"

namespace tutti::runtime {
namespace {

constexpr int kMaxDevices = 64;
thread_local int last_error = 0;
thread_local int device_of_thread = 0;

int initialised() {
  static const int error = cuInit(0);
  return error;
}

int primary_context(int device, void** context) {
  static std::mutex mutex;
  static std::array<void*, kMaxDevices> contexts{};
  const std::lock_guard lock(mutex);
  void*& known = contexts.at(static_cast<std::size_t>(device));
  const int error = known != nullptr ? 0 : cuDevicePrimaryCtxRetain(&known, device);
  *context = known;
  return error;
}

// cudaDeviceProp of CUDA 13; what is not named here stays 0.
struct Properties {
  char name[256];
  unsigned char uuid[16], luid[8];
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
static_assert(offsetof(Properties, concurrent_kernels) == 560 && offsetof(Properties, shared_reserved) == 696 && sizeof(Properties) == 1008);

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

}  // namespace

int noted(int error) {
  if (error != 0 && error != kNotReady) last_error = error;
  return error;
}

int set_device(int device) {
  void* context = nullptr;
  int error = initialised();
  if (error == 0) error = primary_context(device, &context);
  if (error == 0) error = cuCtxSetCurrent(context);
  if (error == 0) device_of_thread = device;
  return error;
}

int enter() {
  void* context = nullptr;
  if (cuCtxGetCurrent(&context) == 0 && context != nullptr) return 0;
  return set_device(device_of_thread);
}

}  // namespace tutti::runtime

using namespace tutti::runtime;

extern "C" {

int cudaGetLastError() {
  const int error = last_error;
  last_error = 0;
  return error;
}
int cudaPeekAtLastError() { return last_error; }
const char* cudaGetErrorName(int error) {
  const char* text = nullptr;
  cuGetErrorName(error, &text);
  return text != nullptr ? text : "unknown error";
}
const char* cudaGetErrorString(int error) {
  const char* text = nullptr;
  cuGetErrorString(error, &text);
  return text != nullptr ? text : "unknown error";
}

int cudaRuntimeGetVersion(int* version) {
  *version = 13020;
  return 0;
}
int cudaDriverGetVersion(int* version) { return noted(cuDriverGetVersion(version)); }

int cudaGetDeviceCount(int* count) {
  *count = 0;
  const int error = initialised();
  return noted(error != 0 ? error : cuDeviceGetCount(count));
}
int cudaGetDevice(int* device) {
  *device = device_of_thread;
  return 0;
}
int cudaSetDevice(int device) {
  int count = 0;
  if (const int error = cudaGetDeviceCount(&count); error != 0) return error;
  if (device < 0 || device >= count) return noted(101);
  return noted(set_device(device));
}
int cudaDeviceGetAttribute(int* value, int attribute, int device) {
  return in_context(cuDeviceGetAttribute, value, attribute, device);
}
int cudaGetDeviceProperties(Properties* properties, int device) {
  *properties = {};
  if (const int error = in_context(cuDeviceGetName, properties->name, 256, device); error != 0) return error;
  for (const auto& [field, attribute] : kRows) cuDeviceGetAttribute(&(properties->*field), attribute, device);
  cuDeviceTotalMem_v2(&properties->total_memory, device);
  cuDeviceGetUuid_v2(properties->uuid, device);
  properties->shared_per_block = std::size_t{48} << 10;
  properties->shared_per_block_optin = properties->shared_per_multiprocessor = std::size_t{227} << 10;
  properties->blocks_per_multiprocessor = 32;
  for (const int i : {0, 1, 2}) properties->block[i] = i < 2 ? 1024 : 64, properties->grid[i] = i < 1 ? 0x7fffffff : 0xffff;
  return 0;
}
int cudaDeviceGetPCIBusId(char* text, int size, int device) { return in_context(cuDeviceGetPCIBusId, text, size, device); }
int cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return in_context(cuCtxGetStreamPriorityRange, least, greatest);
}
int cudaDeviceCanAccessPeer(int* can, int device, int peer) { return in_context(cuDeviceCanAccessPeer, can, device, peer); }
int cudaDeviceEnablePeerAccess(int peer, unsigned flags) {
  void* context = nullptr;
  const int error = primary_context(peer, &context);
  return error != 0 ? noted(error) : in_context(cuCtxEnablePeerAccess, context, flags);
}
int cudaDeviceSynchronize() { return in_context(cuCtxSynchronize); }

// Functions of the driver by name: the newest version of each that is there.
int cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long, int* status) {
  *function = nullptr;
  for (const char* version : {"_v3", "_v2", ""})
    if (*function == nullptr) *function = dlsym(RTLD_DEFAULT, (std::string(name) + version).c_str());
  if (status != nullptr) *status = *function == nullptr;
  return *function != nullptr || status != nullptr ? 0 : noted(500);
}

}  // extern "C"
