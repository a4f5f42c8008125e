// A flag that is raised once; waiting for it sleeps in the kernel. Raising happens before what follows a wait, and nothing
// else is ordered: the happens-before edges of the stand-in are those of CUDA, so that ThreadSanitizer finds missing ones.
// (std::atomic's wait would order all waiters through the counters that it keeps.)
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>

namespace standin {

class Flag {
 public:
  void raise() {
    value_.store(1, std::memory_order_release);
    syscall(SYS_futex, &value_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  }
  bool raised() const { return value_.load(std::memory_order_acquire) != 0; }
  void wait() const {
    while (!raised()) syscall(SYS_futex, &value_, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
  }

 private:
  std::atomic<std::uint32_t> value_ = 0;
};

}  // namespace standin
