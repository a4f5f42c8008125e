#include "context.h"

#include <unistd.h>

#include <array>

#include "capture.h"
#include "memory.h"
#include "stream.h"

namespace standin {
namespace {

struct Primary {
  std::mutex mutex;
  Context* context = nullptr;
  int retained = 0;
};
Primary& primary(int device) {
  static auto* all = new std::array<Primary, kMaxDevices>;
  return (*all)[static_cast<std::size_t>(device)];
}

// A forked child has none of the driver's threads, so it has to find the driver uninitialised, as with the real one.
std::atomic<pid_t>& initialised_in() {
  static std::atomic<pid_t> process = 0;
  return process;
}

// Of a thread, the last one current. It has no destructor, since programs call the driver from destructors that run after those
// of threads' variables.
class Contexts {
 public:
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] bool full() const { return size_ == all_.size(); }
  [[nodiscard]] Context* back() const { return all_[size_ - 1]; }
  void push_back(Context* context) { all_[size_++] = context; }
  void pop_back() { --size_; }

 private:
  std::array<Context*, 64> all_{};
  std::size_t size_ = 0;
};
thread_local constinit Contexts current{};

CUresult make_current(CUcontext handle) {
  Context* context = contexts().find(handle);
  if (!context || current.full()) return kInvalidContext;
  current.push_back(context);
  return kSuccess;
}

// What has not begun is dropped; a kernel or a host function that runs is waited for.
void destroy(Context& context) {
  context.fail(kContextIsDestroyed);
  contexts().remove(&context);
  for (Stream* stream : streams_of(context))
    if (streams().remove(stream)) stream->finish();
  synchronize(context);
  memory().release_all(context);
}

}  // namespace

Handles<Context>& contexts() {
  static auto* all = new Handles<Context>;
  return *all;
}

Context* current_context() { return current.empty() ? nullptr : contexts().find(current.back()); }
bool initialised() { return initialised_in().load(std::memory_order_acquire) == getpid(); }
bool& inside_host_function() {
  thread_local bool inside = false;
  return inside;
}

bool Context::reaches(int other) {
  std::lock_guard lock(mutex);
  return other == device || peers.count(other) != 0;
}

}  // namespace standin

using namespace standin;

CUresult cuInit(unsigned flags) {
  read_settings();
  return always(
      [&] {
        if (flags != 0) return kInvalidValue;
        if (settings().devices < 1) return kNoDevice;
        initialised_in().store(getpid(), std::memory_order_release);
        return kSuccess;
      },
      "cuInit");
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  return call([&] {
    if (!context) return kInvalidValue;
    if (device < 0 || device >= settings().devices) return kInvalidDevice;
    Primary& held = primary(device);
    std::lock_guard lock(held.mutex);
    if (held.retained++ == 0) {
      held.context = contexts().add(std::make_unique<Context>());
      held.context->device = device;
      held.context->legacy = make_stream(*held.context, 0, 0);
    }
    *context = held.context;
    return kSuccess;
  });
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  return call([&] {
    if (device < 0 || device >= settings().devices) return kInvalidDevice;
    Primary& held = primary(device);
    std::lock_guard lock(held.mutex);
    if (held.retained == 0) return kInvalidContext;
    if (--held.retained == 0) destroy(*held.context);
    return kSuccess;
  });
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
  return call([&] {
    if (!flags || !active) return kInvalidValue;
    if (device < 0 || device >= settings().devices) return kInvalidDevice;
    Primary& held = primary(device);
    std::lock_guard lock(held.mutex);
    *flags = 0;
    *active = held.retained > 0 ? 1 : 0;
    return kSuccess;
  });
}

CUresult cuCtxGetCurrent(CUcontext* context) {
  return call([&] {
    if (!context) return kInvalidValue;
    *context = current_context();
    return kSuccess;
  });
}

CUresult cuCtxSetCurrent(CUcontext context) {
  return call([&] {
    if (context && !contexts().find(context)) return kInvalidContext;
    if (!current.empty()) current.pop_back();
    return context ? make_current(context) : kSuccess;
  });
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
  return call([&] { return make_current(context); });
}

CUresult cuCtxPopCurrent_v2(CUcontext* context) {
  return call([&] {
    if (current.empty()) return kInvalidContext;
    if (context) *context = current.back();
    current.pop_back();
    return kSuccess;
  });
}

CUresult cuCtxGetDevice(CUdevice* device) {
  return call_in_context([&](Context& context) {
    if (!device) return kInvalidValue;
    *device = context.device;
    return kSuccess;
  });
}

CUresult cuCtxSynchronize() {
  return call_in_context([&](Context& context) -> CUresult {
    if (const CUresult error = refuse_while_captured(context)) return error;
    synchronize(context);
    return context.error();
  });
}

CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned flags) {
  return call_in_context([&](Context& context) {
    const Context* other = contexts().find(peer);
    if (flags != 0) return kInvalidValue;
    if (!other) return kInvalidContext;
    if (other->device == context.device) return kInvalidDevice;
    std::lock_guard lock(context.mutex);
    return context.peers.insert(other->device).second ? kSuccess : kPeerAccessAlreadyEnabled;
  });
}
