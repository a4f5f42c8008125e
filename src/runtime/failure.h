// What the waiting loop asks while it waits: the control overlay, which hears of every death and every abort.
#pragma once

#include <optional>

#include "bootstrap/overlay.h"
#include "exec/cpu/wait.h"

namespace tutti {

class OverlayWatch final : public FailureWatch {
 public:
  explicit OverlayWatch(Overlay& overlay) : overlay_(overlay) {}
  Status check(std::span<const Rank> awaited) override;
  void restart() override { somebody_left_.reset(); }
  void add_fds(std::vector<pollfd>& fds) override { overlay_.append_fds(fds); }

 private:
  Overlay& overlay_;
  std::optional<TimePoint> somebody_left_;  // since when one of those awaited has been known to have left
};

// A broken connection is often only the echo of a failure elsewhere: waits a moment for the overlay to tell the cause, tells
// everybody, and returns what this rank should report.
Error find_cause(Overlay& overlay, Error error);

}  // namespace tutti
