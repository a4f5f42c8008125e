// Monotonic time.
#pragma once

#include <algorithm>
#include <chrono>

namespace tutti {

using Clock = std::chrono::steady_clock;
using Duration = Clock::duration;
using TimePoint = Clock::time_point;

[[nodiscard]] inline double seconds_since(TimePoint start) { return std::chrono::duration<double>(Clock::now() - start).count(); }
[[nodiscard]] inline Duration from_seconds(double seconds) {
  const double bounded = seconds > 0 ? std::min(seconds, 1e9) : 0;  // what is not a number is no time at all
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(bounded));
}

// Tells the core that this is a spin loop.
inline void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

}  // namespace tutti
