// Memory. Copies take any pointers, as the driver's do; the direction that a caller names says nothing more.
#include "runtime.h"

using namespace tutti::runtime;

namespace {

struct PointerAttributes {
  int type, device;
  void *device_pointer, *host_pointer;
  long reserved[8];
};

// cudaMemoryType: not known to CUDA, host, device, managed.
enum { kUnregistered, kHost, kDevice, kManaged };
// CUpointer_attribute
enum { kMemoryType = 2, kDevicePointer, kHostPointer, kIsManaged = 8, kDeviceOrdinal };

}  // namespace

extern "C" {

int cudaMalloc(void** pointer, size_t bytes) {
  *pointer = nullptr;
  return bytes == 0 ? 0 : in_context(cuMemAlloc_v2, reinterpret_cast<DevicePointer*>(pointer), bytes);
}
int cudaMallocManaged(void** pointer, size_t bytes, unsigned flags) {
  return in_context(cuMemAllocManaged, reinterpret_cast<DevicePointer*>(pointer), bytes, flags);
}
int cudaFree(void* pointer) { return pointer == nullptr ? noted(enter()) : in_context(cuMemFree_v2, address(pointer)); }
int cudaHostAlloc(void** pointer, size_t bytes, unsigned flags) { return in_context(cuMemHostAlloc, pointer, bytes, flags); }
int cudaMallocHost(void** pointer, size_t bytes) { return cudaHostAlloc(pointer, bytes, 0); }
int cudaFreeHost(void* pointer) { return pointer == nullptr ? 0 : in_context(cuMemFreeHost, pointer); }
int cudaHostRegister(void* pointer, size_t bytes, unsigned flags) {
  return in_context(cuMemHostRegister_v2, pointer, bytes, flags);
}
int cudaHostUnregister(void* pointer) { return in_context(cuMemHostUnregister, pointer); }
int cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) { return in_context(cuMemGetInfo_v2, free_bytes, total_bytes); }

int cudaMemcpy(void* to, const void* from, size_t bytes, int) { return in_context(cuMemcpy, address(to), address(from), bytes); }
int cudaMemcpyAsync(void* to, const void* from, size_t bytes, int, void* stream) {
  return in_context(cuMemcpyAsync, address(to), address(from), bytes, stream);
}
int cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t bytes, void* stream) {
  return in_context(cuMemcpyAsync, address(to), address(from), bytes, stream);
}
int cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height, int,
                      void* stream) {
  int error = 0;
  for (size_t row = 0; row < height && error == 0; ++row)
    error = in_context(cuMemcpyAsync, address(to) + row * to_pitch, address(from) + row * from_pitch, width, stream);
  return error;
}
int cudaMemset(void* to, int value, size_t bytes) {
  return in_context(cuMemsetD8_v2, address(to), static_cast<unsigned char>(value), bytes);
}
int cudaMemsetAsync(void* to, int value, size_t bytes, void* stream) {
  return in_context(cuMemsetD8Async, address(to), static_cast<unsigned char>(value), bytes, stream);
}

int cudaPointerGetAttributes(PointerAttributes* attributes, const void* pointer) {
  *attributes = {.type = kUnregistered, .device = -1};
  if (const int error = enter(); error != 0) return noted(error);
  unsigned type = kUnregistered, managed = 0;
  if (cuPointerGetAttribute(&type, kMemoryType, address(pointer)) != 0) {
    attributes->host_pointer = const_cast<void*>(pointer);
    return 0;
  }
  cuPointerGetAttribute(&managed, kIsManaged, address(pointer));
  attributes->type = managed != 0 ? kManaged : static_cast<int>(type);
  cuPointerGetAttribute(&attributes->device, kDeviceOrdinal, address(pointer));
  cuPointerGetAttribute(&attributes->device_pointer, kDevicePointer, address(pointer));
  if (attributes->type != kDevice) cuPointerGetAttribute(&attributes->host_pointer, kHostPointer, address(pointer));
  return 0;
}

int cudaIpcGetMemHandle(IpcHandle* handle, void* pointer) { return in_context(cuIpcGetMemHandle, handle, address(pointer)); }
int cudaIpcOpenMemHandle(void** pointer, IpcHandle handle, unsigned flags) {
  return in_context(cuIpcOpenMemHandle_v2, reinterpret_cast<DevicePointer*>(pointer), handle, flags);
}
int cudaIpcCloseMemHandle(void* pointer) { return in_context(cuIpcCloseMemHandle, address(pointer)); }

}  // extern "C"
