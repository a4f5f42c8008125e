#include "gpu/backlog.h"

#include <chrono>
#include <thread>

namespace tutti::gpu {

Status Backlog::mark(const Driver& driver, StreamHandle stream, const std::atomic<bool>& stop) {
  const Uncaptured uncaptured(driver);
  auto captured = is_capturing(driver, stream);
  if (!captured) return std::move(captured.error());
  since_mark_ = 0;
  if (*captured) return {};
  auto& oldest = marks_[next_++ % kMarks];
  if (!oldest) {
    auto made = Event::make(driver);
    if (!made) return std::move(made.error());
    oldest.emplace(std::move(*made));
  } else {
    int result = 0;
    while ((result = driver.query_event(oldest->handle())) == kNotReady && !stop)
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    if (result != kNotReady)
      if (auto s = check(driver, result, "waiting for calls that were made before"); !s) return s;
  }
  return check(driver, driver.record(oldest->handle(), stream), "cuEventRecord");
}

}  // namespace tutti::gpu
