// A rank's shared memory, and its view of a peer's.
#pragma once

#include <memory>
#include <vector>

#include "core/futex.h"
#include "transports/shm/layout.h"
#include "transports/shm/peer_segments.h"

namespace tutti::shm {

struct Region {
  std::size_t offset = 0;
  std::size_t size = 0;
};

// Not thread safe; Hub locks.
class Arena {
 public:
  // Sparse: memory is taken from the system when it is allocated.
  static Result<std::unique_ptr<Arena>> create(std::size_t bytes);

  // Zeroed, in whole lines.
  Result<Region> allocate(std::size_t bytes);
  Result<Region> allocate_lane() { return allocate(sizeof(Lane)); }
  void release(Region region) { free_.push_back(region); }

  void enter(Region region) const noexcept { memory_.enter(region.offset, region.size); }

  [[nodiscard]] std::byte* at(std::size_t offset) const noexcept { return memory_.data() + offset; }
  [[nodiscard]] Lane* lane(std::size_t offset) const noexcept { return reinterpret_cast<Lane*>(at(offset)); }
  [[nodiscard]] ArenaHeader& header() const noexcept { return *reinterpret_cast<ArenaHeader*>(memory_.data()); }
  [[nodiscard]] Doorbell& bell() const noexcept { return *reinterpret_cast<Doorbell*>(bell_memory_.data()); }
  [[nodiscard]] int memory_fd() const noexcept { return memory_fd_.get(); }
  [[nodiscard]] int bell_fd() const noexcept { return bell_fd_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return memory_.size(); }
  [[nodiscard]] std::size_t free_bytes() const noexcept;

 private:
  [[nodiscard]] std::vector<Region>::iterator smallest_free(std::size_t bytes);

  Fd memory_fd_, bell_fd_;
  Mapping memory_, bell_memory_;
  std::vector<Region> free_;  // that were released
  std::size_t end_ = kPage;   // behind it nothing has been allocated yet
};

// The memory of a connection's cells, which both sides write. The one side creates it and sends its descriptor.
struct CellMemory {
  static Result<CellMemory> create(std::size_t bytes);
  static Result<CellMemory> map(const Fd& memory, Rank peer);
  Fd fd;  // of who has created it
  Mapping mapping;
};

// A peer's arena, mapped for reading, its doorbell, and its segments. Shared by all connections with that peer.
class PeerArena {
 public:
  // Takes descriptors that a peer sent: checks that they are what they should be and cannot be made smaller behind our back.
  // `fenced`: this process takes part in fences of others.
  static Result<std::shared_ptr<PeerArena>> map(const Fd& memory, const Fd& bell, bool fenced, Rank peer);

  [[nodiscard]] const std::byte* data() const noexcept { return memory_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return memory_.size(); }
  void enter(Region region) const noexcept { memory_.enter(region.offset, region.size); }
  // What the peer has allocated.
  [[nodiscard]] PeerSegments& segments() const noexcept { return segments_; }
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
    wake_sleepers();
  }
  // For who has stored what many peers wait for, in one order with all loads.
  void wake_sleepers() const noexcept {
    if (header_->sleepers.load() != 0) [[unlikely]]
      wake();
  }

 private:
  void wake() const noexcept {
    bell_->word.fetch_add(1);
    futex_wake_all(bell_->word);
  }

  Mapping memory_, bell_memory_;
  mutable PeerSegments segments_;
  const ArenaHeader* header_ = nullptr;
  Doorbell* bell_ = nullptr;
  bool sleepers_fence_ = false;
};

}  // namespace tutti::shm
