#include "gpu/call_order.h"

#include <fmt/format.h>

namespace tutti::gpu {

Result<CallOrder> CallOrder::make(const Driver& d, ContextHandle context) {
  const Entered entered(d, context);
  const Uncaptured uncaptured(d);
  auto last = Event::make(d);
  if (!last) return std::move(last.error());
  return CallOrder(d, context, std::move(*last));
}

Status CallOrder::follow(StreamHandle stream) const {
  if (!led_) return {};
  const Entered entered(*driver_, context_);
  return check(*driver_, driver_->wait_event(stream, last_.handle(), 0), "waiting for the stream of the call before");
}

Status CallOrder::lead(StreamHandle stream) {
  const Entered entered(*driver_, context_);
  led_ = true;
  return check(*driver_, driver_->record(last_.handle(), stream),
               fmt::format("following stream {}, which must belong to the same device on every call", stream));
}

Status CallOrder::wait() const {
  if (!led_) return {};
  return check(*driver_, driver_->synchronize_event(last_.handle()), "waiting for the stream of the last call");
}

}  // namespace tutti::gpu
