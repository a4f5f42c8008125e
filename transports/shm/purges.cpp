#include "transports/shm/purges.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "transports/shm/address_space.h"
#include "transports/shm/memfd.h"

namespace tutti::shm {
namespace {

bool empties(int advice) { return advice == MADV_DONTNEED || advice == MADV_FREE; }

// The one that the program would have without this library: the system's, or that of another library which also wants to know.
int next_madvise(void* memory, std::size_t size, int advice) noexcept {
  using Madvise = int (*)(void*, std::size_t, int);
  static std::atomic<void*> found{nullptr};
  void* next = found.load(std::memory_order_relaxed);
  if (next == nullptr) found = next = dlsym(RTLD_NEXT, "madvise");
  return next != nullptr ? reinterpret_cast<Madvise>(next)(memory, size, advice)
                         : static_cast<int>(syscall(SYS_madvise, memory, size, advice));
}

bool is_first() noexcept { return dlsym(RTLD_DEFAULT, "madvise") == reinterpret_cast<void*>(&::madvise); }

// Whether they begin where malloc or posix_memalign has handed out a piece of memory that was mapped for it alone. As glibc has
// it (malloc.c, chunks with IS_MMAPPED): before the bytes lie how far the mapping reaches to either side, the flag among the
// lower bits.
bool are_mapped_by_malloc(ConstBytes bytes, const std::byte* readable_from) {
  constexpr std::size_t kFlags = 7, kMapped = 2;
  std::array<std::size_t, 2> head{};  // before it, and from it on
  if (bytes.data() < readable_from + sizeof head) return false;
  const std::byte* const chunk = bytes.data() - sizeof head;
  std::memcpy(head.data(), chunk, sizeof head);
  const auto [before, size_and_flags] = head;
  const std::size_t size = size_and_flags & ~kFlags, offset = reinterpret_cast<std::uintptr_t>(chunk) % kPage;
  return (size_and_flags & kFlags) == kMapped && before % kPage == offset && (before + size) % kPage == 0 &&
         size >= bytes.size() + sizeof head;
}

}  // namespace

Status check_purges(ConstBytes bytes) {
  if (is_first()) return {};
  auto found = areas(bytes);
  if (!found) return std::move(found.error());
  const bool in_heap = std::ranges::all_of(*found, [](const Area& area) { return area.name == "[heap]"; });
  if (in_heap || (!found->empty() && are_mapped_by_malloc(bytes, found->front().begin))) return {};
  return Error(Code::unsupported, "what the program does with madvise() is not seen");
}

// Never destroyed: memory is freed until the program has ended.
Emptied& Emptied::of_process() {
  static Emptied& emptied = *new Emptied;
  return emptied;
}

void Emptied::set(std::vector<Bytes> ranges) {
  const std::lock_guard lock(mutex_);
  ranges_.swap(ranges);
}

bool Emptied::empty(ConstBytes bytes) noexcept {
  const std::lock_guard lock(mutex_);
  bool any = false;
  for (const Bytes range : ranges_) {
    std::byte* const begin = std::max(range.data(), const_cast<std::byte*>(bytes.data()));
    const std::byte* const end = std::min<const std::byte*>(range.data() + range.size(), bytes.data() + bytes.size());
    if (begin >= end) continue;
    any = true;
    syscall(SYS_madvise, begin, static_cast<std::size_t>(end - begin), MADV_REMOVE);
  }
  return any;
}

}  // namespace tutti::shm

// As the C library declares it.
extern "C" [[gnu::visibility("default")]] int madvise(void* memory, size_t size, int advice) noexcept {
  // Shared memory knows no MADV_FREE.
  if (tutti::shm::empties(advice) && tutti::shm::Emptied::of_process().empty({static_cast<const std::byte*>(memory), size}))
    advice = MADV_DONTNEED;
  return tutti::shm::next_madvise(memory, size, advice);
}
