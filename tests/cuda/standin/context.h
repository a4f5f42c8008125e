// Contexts (one per device, the primary one), which of them is current, and what every call begins with.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <set>

#include "api.h"
#include "handles.h"
#include "settings.h"

namespace standin {

class Stream;
struct Op;
// A hardware queue that streams share: the operation that entered it last.
using Connection = std::atomic<const Op*>;

struct Context {
  int device = 0;
  Stream* legacy = nullptr;
  std::mutex mutex;
  std::set<int> peers;  // devices whose memory was made accessible
  std::array<Connection, kMaxConnections> connections = {};
  std::atomic<unsigned> streams_made = 0;

  // The first asynchronous error stays until the context is gone. Relaxed: an error orders nothing.
  CUresult error() const { return error_.load(std::memory_order_relaxed); }
  void fail(CUresult error) {
    CUresult none = kSuccess;
    error_.compare_exchange_strong(none, error, std::memory_order_relaxed);
  }
  bool reaches(int other);

 private:
  std::atomic<CUresult> error_ = kSuccess;
};

Handles<Context>& contexts();
Context* current_context();

bool initialised();
// True on a thread that runs a host function of a stream.
bool& inside_host_function();

// Wraps a function of the driver that may be called at any time; its own name is taken from where this is called.
template <class Body>
CUresult always(Body body, const char* name = __builtin_FUNCTION()) {
  const CUresult told = told_to_fail(name);
  return told ? told : body();
}

// Wraps one that needs cuInit and must not be called by host functions.
template <class Body>
CUresult call(Body body, const char* name = __builtin_FUNCTION()) {
  if (const CUresult told = told_to_fail(name)) return told;
  if (!initialised()) return kNotInitialized;
  if (inside_host_function()) return kNotPermitted;
  return body();
}

// Wraps one that works in the current context, which must not have failed.
template <class Body>
CUresult call_in_context(Body body, const char* name = __builtin_FUNCTION()) {
  return call(
      [&]() -> CUresult {
        Context* context = current_context();
        if (!context) return kInvalidContext;
        if (const CUresult error = context->error()) return error;
        return body(*context);
      },
      name);
}

}  // namespace standin
