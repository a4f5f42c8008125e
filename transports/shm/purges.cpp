#include "transports/shm/purges.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstring>

#include "transports/shm/address_space.h"
#include "transports/shm/memfd.h"

namespace tutti::shm {
namespace {

bool empties(int advice) { return advice == MADV_DONTNEED || advice == MADV_FREE; }

// The function that the program would have without this library: the system's, or that of another library which also wants to
// know.
void* next_function(const char* name, std::atomic<void*>& found) noexcept {
  void* next = found.load(std::memory_order_relaxed);
  if (next == nullptr) found = next = dlsym(RTLD_NEXT, name);
  return next;
}

int next_madvise(void* memory, std::size_t size, int advice) noexcept {
  using Madvise = int (*)(void*, std::size_t, int);
  static std::atomic<void*> found{nullptr};
  void* const next = next_function("madvise", found);
  return next != nullptr ? reinterpret_cast<Madvise>(next)(memory, size, advice)
                         : static_cast<int>(syscall(SYS_madvise, memory, size, advice));
}

void* next_mremap(void* memory, std::size_t size, std::size_t new_size, int flags, void* where) noexcept {
  using Mremap = void* (*)(void*, std::size_t, std::size_t, int, ...);
  static std::atomic<void*> found{nullptr};
  void* const next = next_function("mremap", found);
  return next != nullptr ? reinterpret_cast<Mremap>(next)(memory, size, new_size, flags, where)
                         : reinterpret_cast<void*>(syscall(SYS_mremap, memory, size, new_size, flags, where));  // NOLINT
}

// each(part, whether it has been adopted, its mapping) until one says false. Whether all was mapped, and all said true.
template <class Each>
bool for_each_area(Bytes bytes, Each&& each) noexcept {
  const auto query = AreaQuery::open();
  if (!query) return false;
  while (!bytes.empty()) {
    const auto area = query->at(bytes.data());
    if (!area) return false;
    const Bytes part = bytes.first(std::min(bytes.size(), static_cast<std::size_t>(area->end - bytes.data())));
    if (!each(part, query->is_of(part.data(), kAdoptedFile), *area)) return false;
    bytes = bytes.subspan(part.size());
  }
  return true;
}

// Where MADV_FREE cannot be, it is emptied at once.
int free_or_empty(Bytes bytes) noexcept {
  errno = ENOMEM;
  return for_each_area(bytes,
                       [](Bytes part, bool adopted, const Area&) {
                         return next_madvise(part.data(), part.size(), adopted ? MADV_DONTNEED : MADV_FREE) == 0;
                       })
             ? 0
             : -1;
}

// All of it the program's to read and write, and some of it adopted, now or earlier.
bool has_been_adopted(Bytes bytes) noexcept {
  bool any = false;
  return for_each_area(bytes,
                       [&](Bytes, bool adopted, const Area& area) {
                         any = any || adopted;
                         return area.readable && area.writable;
                       }) &&
         any;
}

// As mremap() does it with private memory, which can be moved only.
void* grow(Bytes bytes, std::size_t size, int flags, void* where) noexcept {
  if ((flags & MREMAP_MAYMOVE) == 0) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  const bool fixed = (flags & MREMAP_FIXED) != 0;
  void* const fresh =
      mmap(fixed ? where : nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (fixed ? MAP_FIXED : 0), -1, 0);
  if (fresh == MAP_FAILED) return fresh;
  std::ranges::copy(bytes, static_cast<std::byte*>(fresh));
  munmap(bytes.data(), bytes.size());
  return fresh;
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
  if (!ranges_.empty()) used_ = true;
}

bool Emptied::empty(ConstBytes bytes) noexcept {
  const std::lock_guard lock(mutex_);
  bool any = false;
  for (const Bytes range : ranges_) {
    std::byte* const begin = std::max(range.data(), const_cast<std::byte*>(bytes.data()));
    const std::byte* const end = std::min<const std::byte*>(range.data() + range.size(), bytes.data() + bytes.size());
    if (begin >= end) continue;
    any = true;
    if (syscall(SYS_madvise, begin, static_cast<std::size_t>(end - begin), MADV_REMOVE) == 0) continue;
    // The program may have mapped other memory over some of it.
    for (std::byte* page = begin; page < end; page += kPage) syscall(SYS_madvise, page, kPage, MADV_REMOVE);
  }
  return any;
}

}  // namespace tutti::shm

// As the C library declares it.
extern "C" [[gnu::visibility("default")]] int madvise(void* memory, size_t size, int advice) noexcept {
  using namespace tutti::shm;
  auto& emptied = Emptied::of_process();
  const tutti::Bytes bytes{static_cast<std::byte*>(memory), size};
  if (empties(advice) && emptied.empty(bytes)) advice = MADV_DONTNEED;  // shared memory knows no MADV_FREE
  const int status = next_madvise(memory, size, advice);
  return status != 0 && errno == EINVAL && advice == MADV_FREE && emptied.has_been_used() ? free_or_empty(bytes) : status;
}

extern "C" [[gnu::visibility("default")]] void* mremap(void* memory, size_t size, size_t new_size, int flags, ...) noexcept {
  using namespace tutti::shm;
  va_list arguments;
  va_start(arguments, flags);
  void* const where = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0 ? va_arg(arguments, void*) : nullptr;
  va_end(arguments);
  const tutti::Bytes bytes{static_cast<std::byte*>(memory), size};
  const bool grows = new_size > size && (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)) == 0;
  if (grows && Emptied::of_process().has_been_used() && has_been_adopted(bytes)) return grow(bytes, new_size, flags, where);
  return next_mremap(memory, size, new_size, flags, where);
}
