#include "transports/shm/segments.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "core/log.h"
#include "tutti/memory.h"

namespace tutti::shm {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t round_up(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

std::uint64_t new_segment_number() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

// A child must not find a lock taken by a thread that it does not have.
Segments::Segments() {
  pthread_atfork([] { of_process().mutex_.lock(); }, [] { of_process().mutex_.unlock(); }, [] { of_process().mutex_.unlock(); });
}

// Never destroyed: memory may be freed by destructors that run when the program ends.
Segments& Segments::of_process() {
  static Segments& segments = *new Segments;
  return segments;
}

Result<Segments::Segment> Segments::create(std::size_t bytes) {
  const std::size_t size = round_up(bytes, kPage) + kPage;
  auto fd = make_memfd("tutti-memory", size);
  if (!fd) return std::move(fd.error());
  auto mapping = Mapping::of(fd->get(), size, PROT_READ | PROT_WRITE);
  if (!mapping) return std::move(mapping.error());
  if (Status sealed = seal(*fd); !sealed) return std::move(sealed.error());
  // Whole ones only: the segment's state lies behind the user's pages.
  if (const std::size_t huge = bytes / kHugePage * kHugePage; huge > 0) madvise(mapping->data(), huge, MADV_HUGEPAGE);
  return Segment{.size = bytes, .fd = std::move(*fd), .mapping = std::move(*mapping), .owner = getpid()};
}

Result<std::byte*> Segments::allocate(std::size_t bytes) {
  if (bytes > kMostMemfd - 2 * kPage)
    return Error(Code::resource, fmt::format("{} bytes of memory are more than the {} that can be had", bytes, kMostMemfd));
  Segment segment;
  if (bytes >= kLeastMapped && may_take_another(shared_.load())) {
    auto created = create(bytes);
    if (created)
      segment = std::move(*created);
    else
      log(LogLevel::info,
          fmt::format("{} bytes of memory cannot be shared, and are ordinary memory: {}", bytes, created.error().to_string()));
  }
  auto* data = segment.mapping.data();
  if (data == nullptr) {
    const std::size_t size = round_up(std::max(bytes, std::size_t{1}), kAlignment);
    data = static_cast<std::byte*>(std::aligned_alloc(kAlignment, size));
    if (data == nullptr) return Error(Code::resource, fmt::format("there is no memory of {} bytes", bytes));
    std::memset(data, 0, size);
  }
  const std::lock_guard lock(mutex_);
  segment.number = new_segment_number();
  if (segment.fd) ++shared_;
  segments_.emplace(data, std::move(segment));
  return data;
}

// Its pages go back to the system at once, though peers may have it mapped: they are told to let go of it, and what they still
// read of it, for a call that this rank has given up, is zero.
bool Segments::free(void* memory) noexcept {
  Segment segment;
  {
    const std::lock_guard lock(mutex_);
    const auto found = segments_.find(static_cast<const std::byte*>(memory));
    if (found == segments_.end()) return false;
    segment = std::move(found->second);
    segments_.erase(found);
    if (segment.fd) --shared_;
  }
  if (!segment.fd) {
    std::free(memory);
  } else if (segment.owner == getpid()) {
    const SegmentView view(segment.mapping);
    view.state().freed.store(1);
    fallocate(segment.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(view.user_bytes()));
  }
  return true;
}

std::unordered_set<std::uint64_t> Segments::existing(const std::unordered_set<std::uint64_t>& segments) const {
  const std::lock_guard lock(mutex_);
  std::unordered_set<std::uint64_t> existing;
  for (const auto& [begin, segment] : segments_)
    if (segments.contains(segment.number)) existing.insert(segment.number);
  return existing;
}

std::optional<Location> Segments::look_up(ConstBytes bytes) const noexcept {
  const std::lock_guard lock(mutex_);
  auto after = segments_.upper_bound(bytes.data());
  if (after == segments_.begin()) return std::nullopt;
  const auto& [begin, segment] = *--after;
  const auto offset = static_cast<std::size_t>(bytes.data() - begin);
  const bool mapped = segment.fd && segment.owner == getpid();
  if (!mapped || offset >= segment.size || segment.size - offset < bytes.size()) return std::nullopt;
  return Location{.segment = segment.number, .offset = offset, .fd = segment.fd.get()};
}

}  // namespace tutti::shm
