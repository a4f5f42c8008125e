// The functions of the CUDA driver (libcuda.so.1) that the stand-in for the runtime calls. Own declarations: handles are pointers, and
// enums are ints.
#pragma once

#include <cstddef>

extern "C" {

using DevicePointer = unsigned long long;
using HostFunction = void (*)(void*);
using StreamCallback = void (*)(void* stream, int status, void* data);
struct IpcHandle {
  char bytes[64];
};

int cuInit(unsigned flags);
int cuDriverGetVersion(int* version);
int cuGetErrorName(int error, const char** text);
int cuGetErrorString(int error, const char** text);

int cuDeviceGetCount(int* count);
int cuDeviceGet(int* device, int ordinal);
int cuDeviceGetName(char* name, int size, int device);
int cuDeviceGetAttribute(int* value, int attribute, int device);
int cuDeviceTotalMem_v2(size_t* bytes, int device);
int cuDeviceGetUuid_v2(void* uuid, int device);
int cuDeviceGetPCIBusId(char* text, int size, int device);
int cuDeviceCanAccessPeer(int* can, int device, int peer);
int cuDevicePrimaryCtxRetain(void** context, int device);
int cuCtxGetCurrent(void** context);
int cuCtxSetCurrent(void* context);
int cuCtxSynchronize();
int cuCtxEnablePeerAccess(void* context, unsigned flags);
int cuCtxGetStreamPriorityRange(int* least, int* greatest);

int cuMemAlloc_v2(DevicePointer* pointer, size_t bytes);
int cuMemAllocManaged(DevicePointer* pointer, size_t bytes, unsigned flags);
int cuMemFree_v2(DevicePointer pointer);
int cuMemHostAlloc(void** pointer, size_t bytes, unsigned flags);
int cuMemFreeHost(void* pointer);
int cuMemHostRegister_v2(void* pointer, size_t bytes, unsigned flags);
int cuMemHostUnregister(void* pointer);
int cuMemGetInfo_v2(size_t* free_bytes, size_t* total_bytes);
int cuMemcpy(DevicePointer to, DevicePointer from, size_t bytes);
int cuMemcpyAsync(DevicePointer to, DevicePointer from, size_t bytes, void* stream);
int cuMemsetD8_v2(DevicePointer to, unsigned char value, size_t bytes);
int cuMemsetD8Async(DevicePointer to, unsigned char value, size_t bytes, void* stream);
int cuPointerGetAttribute(void* value, int attribute, DevicePointer pointer);
int cuIpcGetMemHandle(IpcHandle* handle, DevicePointer pointer);
int cuIpcOpenMemHandle_v2(DevicePointer* pointer, IpcHandle handle, unsigned flags);
int cuIpcCloseMemHandle(DevicePointer pointer);

int cuStreamCreateWithPriority(void** stream, unsigned flags, int priority);
int cuStreamDestroy_v2(void* stream);
int cuStreamQuery(void* stream);
int cuStreamSynchronize(void* stream);
int cuStreamGetPriority(void* stream, int* priority);
int cuStreamWaitEvent(void* stream, void* event, unsigned flags);
int cuStreamAddCallback(void* stream, StreamCallback callback, void* data, unsigned flags);
int cuLaunchHostFunc(void* stream, HostFunction function, void* data);

int cuEventCreate(void** event, unsigned flags);
int cuEventDestroy_v2(void* event);
int cuEventRecord(void* event, void* stream);
int cuEventRecordWithFlags(void* event, void* stream, unsigned flags);
int cuEventQuery(void* event);
int cuEventSynchronize(void* event);
int cuEventElapsedTime(float* milliseconds, void* from, void* to);

int cuStreamBeginCapture_v2(void* stream, int mode);
int cuStreamEndCapture(void* stream, void** graph);
int cuStreamIsCapturing(void* stream, int* status);
int cuStreamGetCaptureInfo_v3(void* stream, int* status, unsigned long long* id, void** graph, const void** nodes, const void** edges,
                              size_t* count);
int cuThreadExchangeStreamCaptureMode(int* mode);
int cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long flags);
int cuGraphLaunch(void* executable, void* stream);
int cuGraphGetNodes(void* graph, void** nodes, size_t* count);
int cuGraphDestroy(void* graph);
int cuGraphExecDestroy(void* executable);

}  // extern "C"
