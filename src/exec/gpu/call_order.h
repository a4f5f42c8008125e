// Calls one after the other, whatever streams of a context they are given to. Not for streams that are being captured: where
// graphs come among other calls is the program's affair.
#pragma once

#include "gpu/memory.h"

namespace tutti::gpu {

// Used by one thread at a time.
class CallOrder {
 public:
  static Result<CallOrder> make(const Driver& driver, ContextHandle context);

  // What comes on the stream comes after the calls before; the calls that come after what is on it now. (Even if the last call
  // was given to a stream of this name: handles are used again when a stream is destroyed.)
  Status follow(StreamHandle stream) const;
  Status lead(StreamHandle stream);
  Status wait() const;  // for the last call

 private:
  CallOrder(const Driver& driver, ContextHandle context, Event last)
      : driver_(&driver), context_(context), last_(std::move(last)) {}
  const Driver* driver_;
  ContextHandle context_;
  Event last_;  // after the last call
  bool led_ = false;
};

}  // namespace tutti::gpu
