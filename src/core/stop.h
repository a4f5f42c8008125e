// A request to stop, for those who wait in poll().
#pragma once

#include <poll.h>
#include <sys/eventfd.h>

#include <functional>
#include <stop_token>

#include "core/fd.h"
#include "tutti/result.h"

namespace tutti {

class StopSignal {
 public:
  explicit StopSignal(std::stop_token token)
      : token_(std::move(token)),
        event_(token_.stop_possible() ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1),
        ring_(token_, [fd = event_.get()] { (void)eventfd_write(fd, 1); }) {}

  [[nodiscard]] bool requested() const noexcept { return token_.stop_requested(); }
  // Readable once it was requested.
  [[nodiscard]] pollfd wanted() const noexcept { return {event_.get(), POLLIN, 0}; }

 private:
  std::stop_token token_;
  Fd event_;  // none where nobody can ask to stop, or for want of descriptors: then whoever waits looks when it wakes
  std::stop_callback<std::function<void()>> ring_;
};

[[nodiscard]] inline Error stopped() {
  return {Code::aborted, "the start of a communicator was given up: its stop token was asked to stop"};
}

}  // namespace tutti
