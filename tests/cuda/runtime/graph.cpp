// Capture and graphs: the driver's; and objects of users that live as long as a graph or what was made of it.
#include <map>
#include <mutex>
#include <vector>

#include "runtime.h"

using namespace tutti::runtime;

namespace {

struct UserObject {
  void* data;
  CUhostFn destroy;
  unsigned references;
};
constexpr unsigned kMove = 1;

std::mutex mutex;
auto& held = *new std::map<const void*, std::vector<UserObject*>>;  // by graphs and by executables; needed until the very end

void release(UserObject* object, unsigned count) {
  {
    const std::lock_guard lock(mutex);
    object->references -= count;
    if (object->references > 0) return;
  }
  object->destroy(object->data);
  delete object;
}

void hold(const void* holder, UserObject* object, unsigned count) { held[holder].insert(held[holder].end(), count, object); }

void inherit(const void* executable, const void* graph) {
  const std::lock_guard lock(mutex);
  for (UserObject* object : held[graph]) {
    ++object->references;
    hold(executable, object, 1);
  }
}

void forget(const void* holder) {
  std::vector<UserObject*> objects;
  {
    const std::lock_guard lock(mutex);
    objects.swap(held[holder]);
    held.erase(holder);
  }
  for (UserObject* object : objects) release(object, 1);
}

}  // namespace

extern "C" {

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
  const CUresult error = in_context(cuGraphInstantiateWithFlags, executable, graph, flags);
  if (error == kSuccess) inherit(*executable, graph);
  return error;
}
CUresult cudaGraphInstantiate(void** executable, void* graph, unsigned long long flags) {
  return cudaGraphInstantiateWithFlags(executable, graph, flags);
}
CUresult cudaGraphLaunch(void* executable, void* stream) { return in_context(cuGraphLaunch, executable, stream); }
CUresult cudaGraphGetNodes(void* graph, void** nodes, size_t* count) { return in_context(cuGraphGetNodes, graph, nodes, count); }
CUresult cudaGraphDestroy(void* graph) {
  const CUresult error = in_context(cuGraphDestroy, graph);
  if (error == kSuccess) forget(graph);
  return error;
}
CUresult cudaGraphExecDestroy(void* executable) {
  const CUresult error = in_context(cuGraphExecDestroy, executable);
  if (error == kSuccess) forget(executable);
  return error;
}

CUresult cudaUserObjectCreate(UserObject** object, void* data, CUhostFn destroy, unsigned references, unsigned) {
  *object = new UserObject{data, destroy, references};
  return kSuccess;
}
CUresult cudaUserObjectRelease(UserObject* object, unsigned count) {
  release(object, count);
  return kSuccess;
}
CUresult cudaGraphRetainUserObject(void* graph, UserObject* object, unsigned count, unsigned flags) {
  const std::lock_guard lock(mutex);
  if ((flags & kMove) == 0) object->references += count;
  hold(graph, object, count);
  return kSuccess;
}

}  // extern "C"
