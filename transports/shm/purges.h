// The library has a madvise() of its own before the system's: shared memory keeps what is in it where private memory would be
// emptied, as allocators and programs that have it emptied expect.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "tutti/result.h"
#include "tutti/types.h"

namespace tutti::shm {

// Whether what the program does with madvise() to these bytes is seen. Where the library was loaded behind others, only of memory
// that the C library's malloc has: that one empties no pages that it hands out as empty.
[[nodiscard]] Status check_purges(ConstBytes bytes);

// Memory that is emptied although it is shared. Allocators call madvise() with locks held that whoever allocates waits for: so
// nothing is allocated while this one's lock is held.
class Emptied {
 public:
  static Emptied& of_process();

  void set(std::vector<Bytes> ranges);
  // As far as it lies in them. Whether any does.
  bool empty(ConstBytes bytes) noexcept;

  // A thread that the child does not have may have held the lock. It cannot be held during fork(), as allocators have locks of
  // theirs held then. Nobody may call set() meanwhile.
  void start_anew_in_child() {
    std::construct_at(&mutex_);
    set({});
  }

 private:
  std::mutex mutex_;
  std::vector<Bytes> ranges_;
};

}  // namespace tutti::shm
