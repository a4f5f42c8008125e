// Streams and events: the driver's.
#include "runtime.h"

using namespace tutti::runtime;

extern "C" {

CUresult cudaStreamCreateWithPriority(void** stream, unsigned flags, int priority) {
  return in_context(cuStreamCreateWithPriority, stream, flags, priority);
}
CUresult cudaStreamCreateWithFlags(void** stream, unsigned flags) { return cudaStreamCreateWithPriority(stream, flags, 0); }
CUresult cudaStreamCreate(void** stream) { return cudaStreamCreateWithPriority(stream, 0, 0); }
CUresult cudaStreamDestroy(void* stream) { return in_context(cuStreamDestroy_v2, stream); }
CUresult cudaStreamQuery(void* stream) { return in_context(cuStreamQuery, stream); }
CUresult cudaStreamSynchronize(void* stream) { return in_context(cuStreamSynchronize, stream); }
CUresult cudaStreamGetPriority(void* stream, int* priority) { return in_context(cuStreamGetPriority, stream, priority); }
CUresult cudaStreamWaitEvent(void* stream, void* event, unsigned flags) {
  return in_context(cuStreamWaitEvent, stream, event, flags);
}
CUresult cudaStreamAddCallback(void* stream, CUstreamCallback function, void* data, unsigned flags) {
  return in_context(cuStreamAddCallback, stream, function, data, flags);
}
CUresult cudaLaunchHostFunc(void* stream, CUhostFn function, void* data) {
  return in_context(cuLaunchHostFunc, stream, function, data);
}

CUresult cudaEventCreateWithFlags(void** event, unsigned flags) { return in_context(cuEventCreate, event, flags); }
CUresult cudaEventCreate(void** event) { return cudaEventCreateWithFlags(event, 0); }
CUresult cudaEventDestroy(void* event) { return in_context(cuEventDestroy_v2, event); }
CUresult cudaEventRecord(void* event, void* stream) { return in_context(cuEventRecord, event, stream); }
CUresult cudaEventRecordWithFlags(void* event, void* stream, unsigned flags) {
  return in_context(cuEventRecordWithFlags, event, stream, flags);
}
CUresult cudaEventQuery(void* event) { return in_context(cuEventQuery, event); }
CUresult cudaEventSynchronize(void* event) { return in_context(cuEventSynchronize, event); }
CUresult cudaEventElapsedTime(float* milliseconds, void* from, void* to) {
  return in_context(cuEventElapsedTime_v2, milliseconds, from, to);
}

}  // extern "C"
