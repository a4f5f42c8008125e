#include "event.h"

#include "capture.h"

using namespace standin;

namespace {

Handles<Event>& events() {
  static auto* all = new Handles<Event>;
  return *all;
}

template <class Body>
CUresult call_on_event(CUevent handle, Body body, const char* name = __builtin_FUNCTION()) {
  return call(
      [&]() -> CUresult {
        Event* event = events().find(handle);
        if (!event) return kInvalidHandle;
        if (const CUresult failed = event->context.error()) return failed;
        return body(*event);
      },
      name);
}

// Where the event was recorded, if a program may ask now.
CUresult recorded_at(Event& event, const Op** op) {
  std::unique_lock lock(event.mutex);
  *op = event.op;
  if (!event.captured.capture) return kSuccess;
  invalidate(*event.captured.capture);
  return kCapturedEvent;
}

}  // namespace

CUresult cuEventCreate(CUevent* event, unsigned flags) {
  return call_in_context([&](Context& context) {
    const bool timed_interprocess = (flags & kEventInterprocess) && !(flags & kEventDisableTiming);
    if (!event || flags > (kEventBlockingSync | kEventDisableTiming | kEventInterprocess) || timed_interprocess)
      return kInvalidValue;
    *event = events().add(std::unique_ptr<Event>(new Event{context, flags}));
    return kSuccess;
  });
}

CUresult cuEventDestroy_v2(CUevent event) {
  return call([&] { return events().remove(event) ? kSuccess : kInvalidHandle; });
}

CUresult cuEventRecord(CUevent handle, CUstream on) {
  return call_on_stream(on, [&](Stream& stream) -> CUresult {
    Event* event = events().find(handle);
    if (!event || &event->context != &stream.context()) return kInvalidHandle;
    Captured captured;
    if (const CUresult error = captured_position(stream, &captured)) return error;
    const Op* op = nullptr;
    if (!captured.capture)
      if (const CUresult error = submit(stream, {[](Context&) { return kSuccess; }}, &op)) return error;
    std::lock_guard lock(event->mutex);
    event->op = op;
    event->captured = std::move(captured);
    return kSuccess;
  });
}

CUresult cuStreamWaitEvent(CUstream on, CUevent handle, unsigned flags) {
  return call_on_stream(on, [&](Stream& stream) -> CUresult {
    Event* event = events().find(handle);
    if (!event) return kInvalidHandle;
    if (flags > 1) return kInvalidValue;
    std::unique_lock lock(event->mutex);
    const Op* op = event->op;
    const Captured from = event->captured;
    lock.unlock();
    if (from.capture) return join(stream, from);
    if (!op) return kSuccess;
    Captured captured;
    if (const CUresult error = captured_position(stream, &captured)) return error;
    if (captured.capture) {
      invalidate(*captured.capture);
      return kCaptureIsolation;
    }
    return submit(stream, {[](Context&) { return kSuccess; }, {}, {op}});
  });
}

CUresult cuEventQuery(CUevent handle) {
  return call_on_event(handle, [](Event& event) -> CUresult {
    const Op* op = nullptr;
    if (const CUresult error = recorded_at(event, &op)) return error;
    if (const CUresult error = refuse_in_capture()) return error;
    return op && !op->done.raised() ? kNotReady : event.context.error();
  });
}

CUresult cuEventSynchronize(CUevent handle) {
  return call_on_event(handle, [](Event& event) -> CUresult {
    const Op* op = nullptr;
    if (const CUresult error = recorded_at(event, &op)) return error;
    if (const CUresult error = refuse_in_capture()) return error;
    if (op) op->done.wait();
    return event.context.error();
  });
}

CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
  return call([&]() -> CUresult {
    Event* from = events().find(start);
    Event* to = events().find(end);
    if (!milliseconds) return kInvalidValue;
    if (!from || !to || ((from->flags | to->flags) & kEventDisableTiming)) return kInvalidHandle;
    const Op* first = nullptr;
    const Op* second = nullptr;
    if (const CUresult error = recorded_at(*from, &first)) return error;
    if (const CUresult error = recorded_at(*to, &second)) return error;
    if (!first || !second) return kInvalidHandle;
    if (!first->done.raised() || !second->done.raised()) return kNotReady;
    *milliseconds = std::chrono::duration<float, std::milli>(second->ended - first->ended).count();
    return kSuccess;
  });
}
