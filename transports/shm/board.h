// What a rank publishes on one stream: written once into its arena, read there by all others.
//
//   board   | BoardMemory: what this rank has taken of the others; slots | stage: what does not fit a slot |
//
// A publication takes the next slot, like a message of a lane, and its parts lie side by side in the stage, each beginning a
// line. The stage is a ring, but when everybody has taken everything it begins anew, at lines that the caches hold.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/fd.h"
#include "transports/shm/arena.h"

namespace tutti::shm {

// As in layout.h: every line has one writer, and counters only grow.
struct BoardMemory {
  alignas(kLine) std::uint64_t stage_bytes;
  alignas(kLine)
      std::array<std::atomic<std::uint64_t>, Board::kMostMembers> taken;  // publications of each member that this rank has taken
  alignas(kLine) std::array<Slot, kSlots> slots;
};
static_assert(sizeof(BoardMemory) % kLine == 0);

class ShmBoard final : public Board {
 public:
  // The least that a stage must have, so that each part gets some lines.
  [[nodiscard]] static std::size_t least_stage(Rank members) noexcept;

  // `region`: zeroed, of this rank's arena: a BoardMemory and the stage.
  ShmBoard(const Arena& arena, Region region, Rank me, Rank members);

  [[nodiscard]] const Region& region() const noexcept { return region_; }
  [[nodiscard]] Rank members() const noexcept { return static_cast<Rank>(others_.size()); }
  // Where a member's board lies in its arena. `lane`, `socket`: of the connection with it, by which it is seen when it has gone.
  Status join(Rank member, std::shared_ptr<PeerArena> arena, std::size_t offset, const Lane& lane, const Fd& socket);
  // The connection with it is closed.
  void leave(Rank member) noexcept;
  // Whoever waits is about to sleep.
  void begin_wait() noexcept { ++waits_; }
  void end_wait() noexcept { --waits_; }

  [[nodiscard]] bool ready() const noexcept override { return joined_ + 1 == members(); }
  [[nodiscard]] std::size_t most_bytes() const noexcept override { return least_stage_ / 2; }
  Result<bool> publish(const Signature& signature, std::span<const ConstBytes> parts) override;
  Result<const std::byte*> look(Rank member, const Signature& expected, std::size_t bytes) override;
  void take(Rank member) noexcept override;
  [[nodiscard]] std::size_t memory_bytes() const override { return region_.size; }

 private:
  struct Other {
    std::uint64_t next = 0;  // publication that this rank takes next
    const BoardMemory* board = nullptr;
    std::size_t stage_bytes = 0;
    std::shared_ptr<PeerArena> arena;
    const Lane* lane = nullptr;
    const Fd* socket = nullptr;
  };

  [[nodiscard]] Other& other(Rank member) noexcept { return others_[static_cast<std::size_t>(member)]; }
  void see_taken() noexcept;
  bool has_slot() noexcept;
  std::optional<std::size_t> find_room(std::size_t bytes) noexcept;
  void publish(Slot& slot, const Signature& signature, Kind kind, std::size_t size) noexcept;
  [[nodiscard]] std::uint64_t taken_by(Rank member) noexcept;
  bool misses_long() noexcept;
  Result<bool> wait_for_readers();
  [[nodiscard]] bool has_gone(Rank member) noexcept;
  [[nodiscard]] Error gone(Rank member);

  Region region_;
  Rank me_;
  BoardMemory* mine_;
  std::byte* stage_;
  std::size_t stage_bytes_;
  std::vector<Other> others_;  // by rank; this rank's is not used
  Rank joined_ = 0;
  std::size_t least_stage_;               // of all members
  std::uint64_t next_ = 0;                // publication
  std::uint64_t taken_ = 0;               // by all, as far as known
  std::array<std::size_t, kSlots> at_{};  // where the publication in a slot begins, counted round and round the ring
  std::size_t end_ = 0;                   // likewise where the last one ends
  std::uint32_t misses_ = 0;              // looks that found nothing
  std::uint32_t waits_ = 0;               // connections whose waiter is about to sleep
};

}  // namespace tutti::shm
