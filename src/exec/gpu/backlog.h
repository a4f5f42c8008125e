// How far a thread is ahead of its device. A queue of the device takes about a thousand operations; who gives more waits in the
// driver, which lets no other thread of the process in meanwhile: not those of ranks that the first operations wait for. So a
// rank that is far ahead waits here.
#pragma once

#include <array>
#include <atomic>
#include <optional>

#include "gpu/memory.h"

namespace tutti::gpu {

// Used by one thread at a time, in the context.
class Backlog {
 public:
  static constexpr unsigned kBetweenMarks = 128, kMarks = 4;

  // Before so many operations. Waits for those that were given kMarks marks ago, unless the stream is captured or `stop` is set.
  Status add(const Driver& driver, StreamHandle stream, const std::atomic<bool>& stop, unsigned operations = 1) {
    return (since_mark_ += operations) < kBetweenMarks ? Status{} : mark(driver, stream, stop);
  }

 private:
  Status mark(const Driver& driver, StreamHandle stream, const std::atomic<bool>& stop);

  unsigned since_mark_ = 0, next_ = 0;
  std::array<std::optional<Event>, kMarks> marks_;
};

}  // namespace tutti::gpu
