// A rank's shared memory, and its view of a peer's.
#pragma once

#include <memory>
#include <vector>

#include "core/fd.h"
#include "core/futex.h"
#include "transports/shm/layout.h"

namespace tutti::shm {

// A mapping that unmaps itself.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(other.size_), writable_(other.writable_) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(writable_, other.writable_);
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  static Result<Mapping> of(int fd, std::size_t size, int protection);
  // Enters the pages of this part into this process's tables now, rather than one by one when they are first used (where Linux
  // can do that, from 5.14 on).
  void enter(std::size_t offset, std::size_t size) const noexcept;

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] Bytes bytes() const noexcept { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool writable_ = false;
};

struct Region {
  std::size_t offset = 0;
  std::size_t size = 0;
};

// Not thread safe; Hub locks.
class Arena {
 public:
  // Sparse: memory is taken from the system lane by lane.
  static Result<std::unique_ptr<Arena>> create(std::size_t bytes);

  // A zeroed lane.
  Result<Region> allocate_lane();
  void release(Region lane) { free_.push_back(lane.offset); }

  void enter(Region region) const noexcept { memory_.enter(region.offset, region.size); }

  [[nodiscard]] Lane* lane(std::size_t offset) const noexcept { return reinterpret_cast<Lane*>(memory_.data() + offset); }
  [[nodiscard]] ArenaHeader& header() const noexcept { return *reinterpret_cast<ArenaHeader*>(memory_.data()); }
  [[nodiscard]] Doorbell& bell() const noexcept { return *reinterpret_cast<Doorbell*>(bell_memory_.data()); }
  [[nodiscard]] int memory_fd() const noexcept { return memory_fd_.get(); }
  [[nodiscard]] int bell_fd() const noexcept { return bell_fd_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return memory_.size(); }
  [[nodiscard]] std::size_t free_bytes() const noexcept { return size() - end_ + free_.size() * sizeof(Lane); }

 private:
  Fd memory_fd_, bell_fd_;
  Mapping memory_, bell_memory_;
  std::vector<std::size_t> free_;  // offsets of lanes that were released
  std::size_t end_ = kPage;        // behind it there have been no lanes yet
};

// The memory of a connection's cells, which both sides write. The one side creates it and sends its descriptor.
struct CellMemory {
  static Result<CellMemory> create(std::size_t bytes);
  static Result<CellMemory> map(const Fd& memory, Rank peer);
  Fd fd;  // of who has created it
  Mapping mapping;
};

// A peer's arena, mapped for reading, and its doorbell. Immutable, shared by all connections with that peer.
class PeerArena {
 public:
  // Takes descriptors that a peer sent: checks that they are what they should be and cannot be made smaller behind our back.
  // `fenced`: this process takes part in fences of others.
  static Result<std::shared_ptr<PeerArena>> map(const Fd& memory, const Fd& bell, bool fenced, Rank peer);

  [[nodiscard]] const std::byte* data() const noexcept { return memory_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return memory_.size(); }
  void enter(Region region) const noexcept { memory_.enter(region.offset, region.size); }
  // Stores a value that the peer may be waiting for, and wakes the peer if it sleeps. The look for sleepers must not overtake the
  // store: a sleeper sees to that (see membarrier.h), or else both are in one order for all.
  template <class T>
  void tell(std::atomic<T>& word, T value) const noexcept {
    if (sleepers_fence_) [[likely]] {
      word.store(value, std::memory_order_release);
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      word.store(value);
    }
    if (header_->sleepers.load() != 0) [[unlikely]]
      wake();
  }

 private:
  void wake() const noexcept {
    bell_->word.fetch_add(1);
    futex_wake_all(bell_->word);
  }

  Mapping memory_, bell_memory_;
  const ArenaHeader* header_ = nullptr;
  Doorbell* bell_ = nullptr;
  bool sleepers_fence_ = false;
};

}  // namespace tutti::shm
