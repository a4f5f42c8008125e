// Calls one after the other, whatever streams of a context they are given to. Not for streams that are being captured: where
// graphs come among other calls is the program's affair.
#pragma once

#include <optional>

#include "gpu/memory.h"

namespace tutti::gpu {

// Used by one thread at a time.
class CallOrder {
 public:
  static Result<CallOrder> make(const Driver& driver, ContextHandle context);

  // What comes on the stream comes after the calls before; the calls that come after what is on it now.
  Status follow(StreamHandle stream) const;
  Status lead(StreamHandle stream);
  Status wait() const;  // for the last call

 private:
  CallOrder(const Driver& driver, ContextHandle context, Event last)
      : driver_(&driver), context_(context), last_(std::move(last)) {}
  const Driver* driver_;
  ContextHandle context_;
  Event last_;                                 // after the last call
  std::optional<StreamHandle> last_stream_{};  // none: there was no call
};

}  // namespace tutti::gpu
