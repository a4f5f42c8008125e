// Sleeping on a word of memory, across processes.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <ctime>
#include <span>

#include "core/clock.h"
#include "tutti/transport.h"

namespace tutti {

[[nodiscard]] inline timespec to_timespec(Duration d) noexcept {
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
  return {.tv_sec = static_cast<time_t>(ns / 1000000000), .tv_nsec = static_cast<long>(ns % 1000000000)};
}

// Sleeps while `word` holds `expected`, for `limit` at most. Returns early for any reason (signals, other wakers): the caller
// looks again at what it waits for. The word may lie in shared memory.
inline void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected, Duration limit) noexcept {
  const timespec time = to_timespec(limit);
  syscall(SYS_futex, &word, FUTEX_WAIT, expected, &time, nullptr, 0);
}

// The same while all of these words (at least one) hold their values. Before Linux 5.16, and in sandboxes that know no newer
// calls, nobody can sleep on several: then on the first, for a moment.
inline void futex_wait_any(std::span<const FutexWord> words, Duration limit) noexcept {
  constexpr auto kMoment = std::chrono::milliseconds(1);
  if (words.size() == 1) return futex_wait(*words[0].word, words[0].value, limit);
  std::array<futex_waitv, FUTEX_WAITV_MAX> waiters{};
  const std::size_t count = std::min(words.size(), waiters.size());
  for (std::size_t i = 0; i < count; ++i)
    waiters[i] = {
        .val = words[i].value, .uaddr = reinterpret_cast<std::uintptr_t>(words[i].word), .flags = FUTEX_32, .__reserved = 0};
  const timespec until =
      to_timespec(Clock::now().time_since_epoch() + std::min<Duration>(limit, count < words.size() ? kMoment : limit));
  const bool slept = syscall(SYS_futex_waitv, waiters.data(), count, 0, &until, CLOCK_MONOTONIC) >= 0 || errno == EAGAIN ||
                     errno == EINTR || errno == ETIMEDOUT;
  if (!slept) futex_wait(*words[0].word, words[0].value, kMoment);
}

inline void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace tutti
