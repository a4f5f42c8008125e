#include "transports/shm/purges.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
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

// What remains true of the memory, whatever pages are there.
bool lasts(int advice) {
  constexpr int kDontNeedLocked = 24, kCollapse = 25;  // of linux/mman.h, that glibc 2.36 has not
  constexpr std::array kPassing{MADV_NORMAL,         MADV_RANDOM,     MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED,
                                MADV_FREE,           MADV_REMOVE,     MADV_COLD,       MADV_PAGEOUT,  MADV_POPULATE_READ,
                                MADV_POPULATE_WRITE, kDontNeedLocked, kCollapse};
  return std::ranges::find(kPassing, advice) == kPassing.end();
}

bool overlap(ConstBytes a, ConstBytes b) { return a.data() < b.data() + b.size() && b.data() < a.data() + a.size(); }

// Whether the program handles faults there: then nobody else can.
bool are_faults_handled(Bytes bytes) noexcept {
  const Fd faults(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY)));
  if (!faults) return errno != ENOSYS && errno != EPERM;  // nor could the program
  uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
  uffdio_register all{
      .range = {reinterpret_cast<std::uint64_t>(bytes.data()), bytes.size()}, .mode = UFFDIO_REGISTER_MODE_MISSING, .ioctls = 0};
  return ioctl(faults.get(), UFFDIO_API, &api) != 0 || ioctl(faults.get(), UFFDIO_REGISTER, &all) != 0;
}

// The functions that the program would have without this library: the system's, or those of another library which also wants to
// know. Found when the library is loaded: allocators call them with locks held that the loader may wait for.
struct NextFunctions {
  std::atomic<void*> madvise{nullptr}, mremap{nullptr};
};
constinit NextFunctions next_functions;
[[gnu::constructor]] void find_next_functions() {
  next_functions.madvise = dlsym(RTLD_NEXT, "madvise");
  next_functions.mremap = dlsym(RTLD_NEXT, "mremap");
}

int next_madvise(void* memory, std::size_t size, int advice) noexcept {
  using Madvise = int (*)(void*, std::size_t, int);
  void* const next = next_functions.madvise.load(std::memory_order_relaxed);
  return next != nullptr ? reinterpret_cast<Madvise>(next)(memory, size, advice)
                         : static_cast<int>(syscall(SYS_madvise, memory, size, advice));
}

void* next_mremap(void* memory, std::size_t size, std::size_t new_size, int flags, void* where) noexcept {
  using Mremap = void* (*)(void*, std::size_t, std::size_t, int, ...);
  void* const next = next_functions.mremap.load(std::memory_order_relaxed);
  return next != nullptr ? reinterpret_cast<Mremap>(next)(memory, size, new_size, flags, where)
                         : reinterpret_cast<void*>(syscall(SYS_mremap, memory, size, new_size, flags, where));  // NOLINT
}

Bytes part_in(const Area& area, Bytes bytes) noexcept {
  return bytes.first(std::min(bytes.size(), static_cast<std::size_t>(area.end - bytes.data())));
}

// each(part, whether it has been adopted, its mapping) until one says false. Whether all was mapped, and all said true.
template <class Each>
bool for_each_area(Bytes bytes, Each&& each) noexcept {
  const auto query = AreaQuery::open();
  if (!query) return false;
  while (!bytes.empty()) {
    const auto area = query->at(bytes.data());
    if (!area) return false;
    const Bytes part = part_in(*area, bytes);
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
  auto* const at = static_cast<std::byte*>(where);
  if (fixed && at < bytes.data() + bytes.size() && bytes.data() < at + size) {
    errno = EINVAL;
    return MAP_FAILED;
  }
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

// Never destroyed, as memory is freed until the program has ended, and not allocated, as an allocator may be the first to ask.
Emptied& Emptied::of_process() {
  alignas(Emptied) static std::array<std::byte, sizeof(Emptied)> room;
  static Emptied& emptied = *new (room.data()) Emptied;
  return emptied;
}

Status Emptied::begin() {
  if (query_) return {};
  auto query = AreaQuery::open();
  if (!query) return std::move(query.error());
  const std::lock_guard lock(mutex_);
  query_ = std::move(*query);
  used_ = true;
  return {};
}

void Emptied::keep_in_place(ConstBytes bytes) noexcept {
  const std::lock_guard lock(mutex_);
  const auto contains = [bytes](ConstBytes kept) {
    return kept.data() <= bytes.data() && bytes.data() + bytes.size() <= kept.data() + kept.size();
  };
  if (kept_count_ > kept_.size() || std::ranges::any_of(kept_, contains)) return;
  if (kept_count_ < kept_.size()) kept_[kept_count_] = bytes;
  ++kept_count_;
}

void Emptied::keep_in_place_if_adopted(Bytes bytes) noexcept {
  bool any = false;
  for_each_area(bytes, [&](Bytes, bool adopted, const Area&) {
    any = any || adopted;
    return !any;
  });
  if (any) keep_in_place(bytes);
}

bool Emptied::is_kept_in_place(ConstBytes bytes) const noexcept {
  return kept_count_ > kept_.size() || std::ranges::any_of(kept_, [bytes](ConstBytes kept) { return overlap(kept, bytes); });
}

// The kernel refuses to empty what is locked.
void Emptied::make_anonymous(Bytes bytes, int protection) noexcept {
  if (is_kept_in_place(bytes) || has_policy_of_its_own(bytes.data()) || are_faults_handled(bytes)) return;
  if (syscall(SYS_madvise, bytes.data(), bytes.size(), MADV_DONTNEED) != 0) return;
  (void)syscall(SYS_mmap, bytes.data(), bytes.size(), protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

// What the program has mapped there since is its own: only pages of adopted files are taken out of these.
bool Emptied::empty(Bytes bytes) noexcept {
  const std::lock_guard lock(mutex_);
  bool any = false;
  while (query_ && !bytes.empty()) {
    const auto area = query_->at(bytes.data());
    const Bytes part = area ? part_in(*area, bytes) : bytes.first(std::min<std::size_t>(bytes.size(), kPage));
    if (area && query_->is_of(part.data(), kAdoptedFile)) {
      if (area->shared)
        any = syscall(SYS_madvise, part.data(), part.size(), MADV_REMOVE) == 0 || any;
      else
        make_anonymous(part, area->protection());
    }
    bytes = bytes.subspan(part.size());
  }
  return any;
}

}  // namespace tutti::shm

// As the C library declares it.
extern "C" [[gnu::visibility("default")]] int madvise(void* memory, size_t size, int advice) noexcept {
  using namespace tutti::shm;
  auto& emptied = Emptied::of_process();
  if (!emptied.has_been_used()) return next_madvise(memory, size, advice);
  const tutti::Bytes bytes{static_cast<std::byte*>(memory), (size + kPage - 1) / kPage * kPage};
  if (lasts(advice)) emptied.keep_in_place_if_adopted(bytes);
  if (!empties(advice)) return next_madvise(memory, size, advice);
  if (emptied.empty(bytes)) advice = MADV_DONTNEED;  // shared memory knows no MADV_FREE
  const int status = next_madvise(memory, size, advice);
  return status != 0 && errno == EINVAL && advice == MADV_FREE ? free_or_empty(bytes) : status;
}

extern "C" [[gnu::visibility("default")]] void* mremap(void* memory, size_t size, size_t new_size, int flags, ...) noexcept {
  using namespace tutti::shm;
  va_list arguments;
  va_start(arguments, flags);
  void* const where = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0 ? va_arg(arguments, void*) : nullptr;
  va_end(arguments);
  const auto whole = [](size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; };  // as the kernel has it
  const tutti::Bytes bytes{static_cast<std::byte*>(memory), whole(size)};
  const bool grows = whole(new_size) > whole(size) && (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)) == 0;
  if (grows && Emptied::of_process().has_been_used() && has_been_adopted(bytes))
    return grow(bytes, whole(new_size), flags, where);
  return next_mremap(memory, size, new_size, flags, where);
}
