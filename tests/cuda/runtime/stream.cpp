// Streams, events, capture and graphs: the driver's.
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

CUresult cudaStreamBeginCapture(void* stream, CUstreamCaptureMode mode) {
  return in_context(cuStreamBeginCapture_v2, stream, mode);
}
CUresult cudaStreamEndCapture(void* stream, void** graph) { return in_context(cuStreamEndCapture, stream, graph); }
CUresult cudaStreamIsCapturing(void* stream, CUstreamCaptureStatus* status) {
  return in_context(cuStreamIsCapturing, stream, status);
}
CUresult cudaStreamGetCaptureInfo(void* stream, CUstreamCaptureStatus* status, std::uint64_t* id, CUgraph* graph,
                                  const CUgraphNode** nodes, const void** edges, size_t* count) {
  return in_context(cuStreamGetCaptureInfo_v3, stream, status, id, graph, nodes, edges, count);
}
CUresult cudaThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  return in_context(cuThreadExchangeStreamCaptureMode, mode);
}
CUresult cudaGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long flags) {
  return in_context(cuGraphInstantiateWithFlags, executable, graph, flags);
}
CUresult cudaGraphInstantiate(void** executable, void* graph, unsigned long long flags) {
  return cudaGraphInstantiateWithFlags(executable, graph, flags);
}
CUresult cudaGraphLaunch(void* executable, void* stream) { return in_context(cuGraphLaunch, executable, stream); }
CUresult cudaGraphGetNodes(void* graph, void** nodes, size_t* count) { return in_context(cuGraphGetNodes, graph, nodes, count); }
CUresult cudaGraphDestroy(void* graph) { return in_context(cuGraphDestroy, graph); }
CUresult cudaGraphExecDestroy(void* executable) { return in_context(cuGraphExecDestroy, executable); }

}  // extern "C"
