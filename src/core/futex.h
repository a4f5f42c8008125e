// Sleeping on a word of memory, across processes.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <ctime>

#include "core/clock.h"

namespace tutti {

// Sleeps while `word` holds `expected`, for `limit` at most. Returns early for any reason (signals, other wakers): the caller
// looks again at what it waits for. The word may lie in shared memory.
inline void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected, Duration limit) noexcept {
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(limit).count();
  const timespec time{.tv_sec = static_cast<time_t>(ns / 1000000000), .tv_nsec = static_cast<long>(ns % 1000000000)};
  syscall(SYS_futex, &word, FUTEX_WAIT, expected, &time, nullptr, 0);
}

inline void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace tutti
