// The library has a madvise() and an mremap() of its own before the system's. Shared memory keeps what is in it where private
// memory would be emptied, as allocators and programs that have it emptied expect. And what has been adopted is of a file to the
// kernel, also once it is private again: it knows no MADV_FREE, and must not grow past the file's end; and when it is written
// again after it was emptied, the file gets pages of its own besides. So when private pages are emptied, anonymous ones take
// their place.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "transports/shm/address_space.h"
#include "tutti/result.h"
#include "tutti/types.h"

namespace tutti::shm {

// Whether what the program does with madvise() to these bytes is seen. Where the library was loaded behind others, only of memory
// that the C library's malloc has: that one empties no pages that it hands out as empty.
[[nodiscard]] Status check_purges(ConstBytes bytes);

// What adopted memory is to the kernel.
inline constexpr const char* kAdoptedName = "tutti-adopted";
inline constexpr std::string_view kAdoptedFile = "/memfd:tutti-adopted (deleted)";

// Memory that is emptied although it is shared. Allocators call madvise() with locks held that whoever allocates waits for: so
// nothing is allocated while this one's lock is held.
class Emptied {
 public:
  static Emptied& of_process();

  // There will be adopted pages. By one thread at a time.
  Status begin();
  // Whether there have ever been any.
  [[nodiscard]] bool has_been_used() const noexcept { return used_.load(std::memory_order_relaxed); }
  // As far as it lies in them. Whether any does that is shared.
  bool empty(Bytes bytes) noexcept;
  // The kernel has been told something about this memory that other pages in its place would not know.
  void keep_in_place(ConstBytes bytes) noexcept;
  // As far as any of it has ever been adopted.
  void keep_in_place_if_adopted(Bytes bytes) noexcept;

  // Nobody empties anything meanwhile. `act` must not allocate.
  template <class Act>
  void hold(Act&& act) {
    const std::lock_guard lock(mutex_);
    act();
  }

  // A thread that the child does not have may have held the lock. It cannot be held during fork(), as allocators have locks of
  // theirs held then. What the kernel is asked through is the parent's.
  void start_anew_in_child() {
    std::construct_at(&mutex_);
    query_.reset();
  }

 private:
  [[nodiscard]] bool is_kept_in_place(ConstBytes bytes) const noexcept;
  void make_anonymous(Bytes bytes, int protection) noexcept;

  std::mutex mutex_;
  std::optional<AreaQuery> query_;
  std::array<ConstBytes, 64> kept_{};
  std::size_t kept_count_ = 0;  // more than there is room for: all is
  std::atomic<bool> used_{false};
};

}  // namespace tutti::shm
