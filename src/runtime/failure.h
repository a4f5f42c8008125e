// What the waiting loop asks while it waits: the control overlay, which hears of every death and every abort, and over which
// ranks that wait for long tell those they wait for which call they are in.
#pragma once

#include <optional>

#include "bootstrap/overlay.h"
#include "exec/cpu/wait.h"

namespace tutti {

class OverlayWatch final : public FailureWatch {
 public:
  explicit OverlayWatch(Overlay& overlay) : overlay_(overlay) {}
  Status check(const Waiting& waiting) override;
  void restart() override {
    somebody_left_.reset();
    since_ = Clock::now();
    has_asked_ = false;
  }
  void add_fds(std::vector<pollfd>& fds) override { overlay_.append_fds(fds); }

 private:
  Status check_presence(std::span<const Rank> awaited);
  Status compare_calls(const Waiting& waiting);

  Overlay& overlay_;
  std::optional<TimePoint> somebody_left_;  // since when one of those awaited has been known to have left
  TimePoint since_{};                       // of this wait
  bool has_asked_ = false;                  // those awaited have been told what this rank is in
};

// A broken connection is often only the echo of a failure elsewhere: waits a moment for the overlay to tell the cause, tells
// everybody, and returns what this rank should report.
Error find_cause(Overlay& overlay, Error error);

}  // namespace tutti
