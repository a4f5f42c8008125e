// Streams, events, capture and graphs: the driver's.
#include "runtime.h"

using namespace tutti::runtime;

extern "C" {

int cudaStreamCreateWithPriority(void** stream, unsigned flags, int priority) {
  return in_context(cuStreamCreateWithPriority, stream, flags, priority);
}
int cudaStreamCreateWithFlags(void** stream, unsigned flags) { return cudaStreamCreateWithPriority(stream, flags, 0); }
int cudaStreamCreate(void** stream) { return cudaStreamCreateWithPriority(stream, 0, 0); }
int cudaStreamDestroy(void* stream) { return in_context(cuStreamDestroy_v2, stream); }
int cudaStreamQuery(void* stream) { return in_context(cuStreamQuery, stream); }
int cudaStreamSynchronize(void* stream) { return in_context(cuStreamSynchronize, stream); }
int cudaStreamGetPriority(void* stream, int* priority) { return in_context(cuStreamGetPriority, stream, priority); }
int cudaStreamWaitEvent(void* stream, void* event, unsigned flags) { return in_context(cuStreamWaitEvent, stream, event, flags); }
int cudaStreamAddCallback(void* stream, StreamCallback callback, void* data, unsigned flags) {
  return in_context(cuStreamAddCallback, stream, callback, data, flags);
}
int cudaLaunchHostFunc(void* stream, HostFunction function, void* data) {
  return in_context(cuLaunchHostFunc, stream, function, data);
}

int cudaEventCreateWithFlags(void** event, unsigned flags) { return in_context(cuEventCreate, event, flags); }
int cudaEventCreate(void** event) { return cudaEventCreateWithFlags(event, 0); }
int cudaEventDestroy(void* event) { return in_context(cuEventDestroy_v2, event); }
int cudaEventRecord(void* event, void* stream) { return in_context(cuEventRecord, event, stream); }
int cudaEventRecordWithFlags(void* event, void* stream, unsigned flags) {
  return in_context(cuEventRecordWithFlags, event, stream, flags);
}
int cudaEventQuery(void* event) { return in_context(cuEventQuery, event); }
int cudaEventSynchronize(void* event) { return in_context(cuEventSynchronize, event); }
int cudaEventElapsedTime(float* milliseconds, void* from, void* to) { return in_context(cuEventElapsedTime, milliseconds, from, to); }

int cudaStreamBeginCapture(void* stream, int mode) { return in_context(cuStreamBeginCapture_v2, stream, mode); }
int cudaStreamEndCapture(void* stream, void** graph) { return in_context(cuStreamEndCapture, stream, graph); }
int cudaStreamIsCapturing(void* stream, int* status) { return in_context(cuStreamIsCapturing, stream, status); }
int cudaStreamGetCaptureInfo(void* stream, int* status, unsigned long long* id, void** graph, const void** nodes, const void** edges,
                             size_t* count) {
  return in_context(cuStreamGetCaptureInfo_v3, stream, status, id, graph, nodes, edges, count);
}
int cudaThreadExchangeStreamCaptureMode(int* mode) { return in_context(cuThreadExchangeStreamCaptureMode, mode); }
int cudaGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long flags) {
  return in_context(cuGraphInstantiateWithFlags, executable, graph, flags);
}
int cudaGraphInstantiate(void** executable, void* graph, unsigned long long flags) {
  return cudaGraphInstantiateWithFlags(executable, graph, flags);
}
int cudaGraphLaunch(void* executable, void* stream) { return in_context(cuGraphLaunch, executable, stream); }
int cudaGraphGetNodes(void* graph, void** nodes, size_t* count) { return in_context(cuGraphGetNodes, graph, nodes, count); }
int cudaGraphDestroy(void* graph) { return in_context(cuGraphDestroy, graph); }
int cudaGraphExecDestroy(void* executable) { return in_context(cuGraphExecDestroy, executable); }

}  // extern "C"
