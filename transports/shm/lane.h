// The two ends of a lane: Outbox writes messages into this rank's lane, Inbox takes them from the peer's.
#pragma once

#include <sys/types.h>

#include <cstring>

#include "transports/shm/arena.h"

namespace tutti::shm {

// Both sides' lanes of a connection.
struct Lanes {
  LaneHeader* mine = nullptr;
  const LaneHeader* theirs = nullptr;
  std::byte* my_ring = nullptr;
  const std::byte* their_ring = nullptr;
  std::size_t my_ring_bytes = 0, their_ring_bytes = 0;  // powers of two
  const PeerArena* peer_arena = nullptr;
  Rank peer = kNoRank;
  pid_t process = 0;  // of the peer, when its memory can be read, else 0
};

struct Outgoing {
  Signature signature;
  ConstBytes data;
  std::size_t copied = 0;
  Kind kind = Kind::in_slot;
  bool announced = false;
};

struct Incoming {
  enum class Stage : std::uint8_t { awaited, streaming, reading };
  Signature expected;
  Sink sink;
  std::size_t arrived = 0;
  std::uint64_t address = 0;
  Stage stage = Stage::awaited;
};

class Outbox {
 public:
  void open(const Lanes& lanes) noexcept;
  // Brings the oldest unfinished message forward. true: finished. `moved` is set when anything happened.
  Result<bool> advance(Outgoing& message, bool& moved) {
    if (message.data.size() <= kInline && next_ - slots_taken_ < kSlots) [[likely]] {
      Slot& slot = lanes_.mine->slots[next_ % kSlots];
      slot.signature = message.signature;
      if (message.data.size() == 8) {  // the commonest size, without a call
        std::memcpy(slot.payload.data(), message.data.data(), 8);
      } else if (!message.data.empty()) {
        std::memcpy(slot.payload.data(), message.data.data(), message.data.size());
      }
      publish(slot, Kind::in_slot, message.data.size());
      moved = true;
      return true;
    }
    return advance_slowly(message, moved);
  }

 private:
  Result<bool> advance_slowly(Outgoing& message, bool& moved);
  Result<bool> has_slot();
  Result<std::size_t> room();
  Result<bool> announce(Outgoing& message);
  Result<bool> stream(Outgoing& message, bool& moved);
  Result<bool> hear_answer(Outgoing& message, bool& moved);
  void copy_in(ConstBytes bytes) noexcept;
  void publish(Slot& slot, Kind kind, std::size_t size) noexcept {
    slot.head.store(make_head(next_, kind, size));
    ++next_;
    lanes_.peer_arena->wake_if_asleep();
  }

  Lanes lanes_;
  std::uint64_t next_ = 0;         // message
  std::uint64_t slots_taken_ = 0;  // as last seen
  std::uint64_t position_ = 0;     // in the data ring
  std::uint64_t bytes_taken_ = 0;  // as last seen
};

class Inbox {
 public:
  void open(const Lanes& lanes) noexcept;
  // Brings the oldest unfinished receive forward. true: finished. `moved` is set when anything happened.
  Result<bool> advance(Incoming& message, bool& moved) {
    if (message.stage == Incoming::Stage::awaited) [[likely]] {
      const Slot& slot = lanes_.theirs->slots[next_ % kSlots];
      const std::uint64_t head = slot.head.load();
      if (!is_message(head, next_)) return false;
      const std::size_t size = shm::size_of(head);
      if (kind_of(head) == Kind::in_slot && message.sink.consumer == nullptr && size == message.sink.size && size <= kInline &&
          slot.signature == message.expected) [[likely]] {
        if (size == 8) {
          std::memcpy(message.sink.data, slot.payload.data(), 8);
        } else if (size != 0) {
          std::memcpy(message.sink.data, slot.payload.data(), size);
        }
        take_slot();
        moved = true;
        return true;
      }
    }
    return advance_slowly(message, moved);
  }

 private:
  Result<bool> advance_slowly(Incoming& message, bool& moved);
  Result<bool> meet(Incoming& message);
  Result<bool> stream(Incoming& message, bool& moved);
  Result<bool> read(Incoming& message, bool& moved);
  void answer(Verdict verdict) noexcept;
  void take_out(Incoming& message, std::size_t bytes);
  void take_bytes(std::size_t bytes) noexcept;
  // Tells the sender in steps of a quarter of the slots: it asks only when it has run out of them.
  void take_slot() noexcept {
    ++next_;
    if (next_ % (kSlots / 4) != 0) return;
    lanes_.mine->slots_taken.store(next_);
    lanes_.peer_arena->wake_if_asleep();
  }

  Lanes lanes_;
  std::uint64_t next_ = 0;
  std::uint64_t position_ = 0;
  std::uint64_t position_told_ = 0;
};

}  // namespace tutti::shm
