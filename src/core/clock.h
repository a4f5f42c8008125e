// Monotonic time.
#pragma once

#include <chrono>

namespace tutti {

using Clock = std::chrono::steady_clock;
using Duration = Clock::duration;
using TimePoint = Clock::time_point;

[[nodiscard]] inline double seconds_since(TimePoint start) { return std::chrono::duration<double>(Clock::now() - start).count(); }
[[nodiscard]] inline Duration from_seconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
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
