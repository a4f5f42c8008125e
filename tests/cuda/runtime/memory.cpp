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

}  // namespace

extern "C" {

CUresult cudaMalloc(void** pointer, size_t bytes) {
  *pointer = nullptr;
  return bytes == 0 ? kSuccess : in_context(cuMemAlloc_v2, reinterpret_cast<CUdeviceptr*>(pointer), bytes);
}
CUresult cudaMallocManaged(void** pointer, size_t bytes, unsigned flags) {
  return in_context(cuMemAllocManaged, reinterpret_cast<CUdeviceptr*>(pointer), bytes, flags);
}
CUresult cudaFree(void* pointer) { return pointer == nullptr ? noted(enter()) : in_context(cuMemFree_v2, address(pointer)); }
CUresult cudaHostAlloc(void** pointer, size_t bytes, unsigned flags) { return in_context(cuMemHostAlloc, pointer, bytes, flags); }
CUresult cudaMallocHost(void** pointer, size_t bytes) { return cudaHostAlloc(pointer, bytes, 0); }
CUresult cudaFreeHost(void* pointer) { return pointer == nullptr ? kSuccess : in_context(cuMemFreeHost, pointer); }
CUresult cudaHostRegister(void* pointer, size_t bytes, unsigned flags) {
  return in_context(cuMemHostRegister_v2, pointer, bytes, flags);
}
CUresult cudaHostUnregister(void* pointer) { return in_context(cuMemHostUnregister, pointer); }
CUresult cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) { return in_context(cuMemGetInfo_v2, free_bytes, total_bytes); }

CUresult cudaMemcpy(void* to, const void* from, size_t bytes, int) {
  return in_context(cuMemcpy, address(to), address(from), bytes);
}
CUresult cudaMemcpyAsync(void* to, const void* from, size_t bytes, int, void* stream) {
  return in_context(cuMemcpyAsync, address(to), address(from), bytes, stream);
}
CUresult cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t bytes, void* stream) {
  return in_context(cuMemcpyAsync, address(to), address(from), bytes, stream);
}
CUresult cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height, int,
                           void* stream) {
  CUresult error = kSuccess;
  for (size_t row = 0; row < height && error == kSuccess; ++row)
    error = in_context(cuMemcpyAsync, address(to) + row * to_pitch, address(from) + row * from_pitch, width, stream);
  return error;
}
CUresult cudaMemset(void* to, int value, size_t bytes) {
  return in_context(cuMemsetD8_v2, address(to), static_cast<unsigned char>(value), bytes);
}
CUresult cudaMemsetAsync(void* to, int value, size_t bytes, void* stream) {
  return in_context(cuMemsetD8Async, address(to), static_cast<unsigned char>(value), bytes, stream);
}

CUresult cudaPointerGetAttributes(PointerAttributes* attributes, const void* pointer) {
  *attributes = {};
  attributes->device = -1;
  if (const CUresult error = enter(); error != kSuccess) return noted(error);
  const auto ask = [&](CUpointer_attribute attribute, void* value) {
    return cuPointerGetAttribute(value, attribute, address(pointer)) == kSuccess;
  };
  unsigned type = kUnregistered, managed = 0;
  if (!ask(kAttributeMemoryType, &type)) return kSuccess;
  ask(kAttributeIsManaged, &managed);
  attributes->type = managed != 0 ? kManaged : static_cast<int>(type);
  ask(kAttributeDeviceOrdinal, &attributes->device);
  ask(kAttributeDevicePointer, &attributes->device_pointer);
  if (attributes->type != kDevice) ask(kAttributeHostPointer, &attributes->host_pointer);
  return kSuccess;
}

CUresult cudaIpcGetMemHandle(CUipcMemHandle* handle, void* pointer) {
  return in_context(cuIpcGetMemHandle, handle, address(pointer));
}
CUresult cudaIpcOpenMemHandle(void** pointer, CUipcMemHandle handle, unsigned flags) {
  return in_context(cuIpcOpenMemHandle_v2, reinterpret_cast<CUdeviceptr*>(pointer), handle, flags);
}
CUresult cudaIpcCloseMemHandle(void* pointer) { return in_context(cuIpcCloseMemHandle, address(pointer)); }

}  // extern "C"
