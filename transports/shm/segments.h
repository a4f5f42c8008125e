// The memory of this process that peers may map: what tutti::allocate() has handed out. Each allocation is a segment, with a
// descriptor of its own.
//
//   | the user's pages ... | SegmentState |
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_set>

#include "transports/shm/memfd.h"

namespace tutti::shm {

// At a segment's end, a page of its own.
struct SegmentState {
  std::atomic<std::uint32_t> freed;  // whoever has it mapped may let go of it
};

// Where bytes lie.
struct Location {
  std::uint64_t segment = 0;  // its number in this process, never used twice (new_segment_number)
  std::uint64_t offset = 0;
  int fd = -1;  // of the segment
};

[[nodiscard]] std::uint64_t new_segment_number() noexcept;

class SegmentView {
 public:
  explicit SegmentView(const Mapping& mapping) noexcept : mapping_(mapping) {}
  [[nodiscard]] std::size_t user_bytes() const noexcept { return mapping_.size() - kPage; }
  [[nodiscard]] SegmentState& state() const noexcept { return *reinterpret_cast<SegmentState*>(mapping_.data() + user_bytes()); }

 private:
  const Mapping& mapping_;
};

class Segments {
 public:
  // Memory belongs to the process, whatever communicators it has.
  static Segments& of_process();

  Result<std::byte*> allocate(std::size_t bytes);
  // false: not allocated here.
  bool free(void* memory) noexcept;
  // Nothing where these bytes do not lie in a segment altogether.
  [[nodiscard]] std::optional<Location> find(ConstBytes bytes) const noexcept {
    if (shared_.load(std::memory_order_relaxed) == 0) [[likely]]
      return std::nullopt;
    return look_up(bytes);
  }
  // Those of `segments` that have not been freed.
  [[nodiscard]] std::unordered_set<std::uint64_t> existing(const std::unordered_set<std::uint64_t>& segments) const;

 private:
  struct Segment {
    std::uint64_t number = 0;
    std::size_t size = 0;
    Fd fd;  // none: of the heap
    Mapping mapping;
    pid_t owner = 0;  // a child has its parent's, too, which are not for it to speak of
  };
  Segments();
  [[nodiscard]] static Result<Segment> create(std::size_t bytes);
  [[nodiscard]] std::optional<Location> look_up(ConstBytes bytes) const noexcept;

  mutable std::mutex mutex_;
  std::map<const std::byte*, Segment> segments_;  // by their beginning
  std::atomic<std::size_t> shared_{0};            // those that are not of the heap
};

}  // namespace tutti::shm
