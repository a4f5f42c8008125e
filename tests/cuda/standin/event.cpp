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

// Events that a graph records or waits for anew at every launch are not there; outside of captures there are none.
CUresult refuse_external(unsigned flags, const Captured& captured) {
  if (flags == 0) return kSuccess;
  return captured.capture && flags == kEventExternal ? kNotSupported : kInvalidValue;
}

CUresult record_event(CUevent handle, CUstream on, const char* name, unsigned flags = 0) {
  return call_on_stream(
      on,
      [&](Stream& stream) -> CUresult {
        Event* event = events().find(handle);
        if (!event || &event->context != &stream.context()) return kInvalidHandle;
        Captured captured;
        if (const CUresult error = captured_position(stream, &captured)) return error;
        if (const CUresult error = refuse_external(flags, captured)) return error;
        const Op* op = nullptr;
        if (!captured.capture)
          if (const CUresult error = submit(stream, {[](Context&) { return kSuccess; }}, &op)) return error;
        std::lock_guard lock(event->mutex);
        event->op = op;
        event->captured = std::move(captured);
        return kSuccess;
      },
      name);
}

CUresult elapsed(float* milliseconds, CUevent start, CUevent end, const char* name) {
  return call(
      [&]() -> CUresult {
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
      },
      name);
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

CUresult cuEventRecord(CUevent event, CUstream stream) { return record_event(event, stream, __func__); }

CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags) {
  return record_event(event, stream, __func__, flags);
}

CUresult cuStreamWaitEvent(CUstream on, CUevent handle, unsigned flags) {
  return call_on_stream(on, [&](Stream& stream) -> CUresult {
    Event* event = events().find(handle);
    if (!event) return kInvalidHandle;
    std::unique_lock lock(event->mutex);
    const Op* op = event->op;
    const Captured from = event->captured;
    lock.unlock();
    Captured captured;
    if (const CUresult error = captured_position(stream, &captured)) return error;
    if (const CUresult error = refuse_external(flags, captured)) return error;
    if (from.capture) return join(stream, from);
    if (!op) return kSuccess;
    if (!captured.capture) return submit(stream, {[](Context&) { return kSuccess; }, {}, {op}});
    invalidate(*captured.capture);
    return kCaptureIsolation;
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

CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  return elapsed(milliseconds, start, end, __func__);
}
CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
  return elapsed(milliseconds, start, end, __func__);
}
