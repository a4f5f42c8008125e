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

// The commonest size without a call.
inline void copy_small(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  if (size == 8) {
    std::memcpy(to, from, 8);
  } else if (size != 0) {
    std::memcpy(to, from, size);
  }
}

class Outbox {
 public:
  void open(const Lanes& lanes) noexcept;
  // A message that fits a slot, if a slot is known to be free. Nothing unfinished may be before it.
  bool send_small(const Signature& signature, ConstBytes data) noexcept {
    if (data.size() > kInline || next_ - slots_taken_ >= kSlots) return false;
    Slot& slot = lanes_.mine->slots[next_ % kSlots];
    slot.signature = signature;
    copy_small(slot.payload.data(), data.data(), data.size());
    publish(slot, Kind::in_slot, data.size());
    return true;
  }
  // Brings the oldest unfinished message forward. true: finished. `moved` is set when anything happened.
  Result<bool> advance(Outgoing& message, bool& moved);
  void tune(const LinkTuning& tuning) noexcept { tuning_ = tuning; }

 private:
  Result<bool> has_slot();
  Result<std::size_t> room();
  Result<bool> announce(Outgoing& message);
  Result<bool> stream(Outgoing& message, bool& moved);
  Result<bool> hear_answer(Outgoing& message, bool& moved);
  void copy_in(ConstBytes bytes) noexcept;
  void publish(Slot& slot, Kind kind, std::size_t size) noexcept {
    const std::uint64_t head = make_head(next_++, kind, size);
    lanes_.peer_arena->tell(slot.head, head);
  }

  Lanes lanes_;
  LinkTuning tuning_;
  std::uint64_t next_ = 0;         // message
  std::uint64_t slots_taken_ = 0;  // as last seen
  std::uint64_t position_ = 0;     // in the data ring
  std::uint64_t bytes_taken_ = 0;  // as last seen
};

class Inbox {
 public:
  void open(const Lanes& lanes) noexcept;
  // Whether a message that nobody has received yet is there.
  [[nodiscard]] bool has_next() const noexcept { return is_message(next_slot().head.load(), next_); }
  // Finishes a receive whose message is there and small and just what was expected. false: advance() must look at it.
  bool take_small(const Incoming& message) noexcept {
    if (message.stage != Incoming::Stage::awaited) return false;
    const Slot& slot = next_slot();
    const std::uint64_t head = slot.head.load();
    const std::size_t size = shm::size_of(head);
    if (kind_of(head) != Kind::in_slot || size != message.sink.size || size > kInline || slot.signature != message.expected)
      return false;
    deliver(slot, size, message.sink);
    take_slot();
    return true;
  }
  // Brings a receive forward whose message is there. true: finished. `moved` is set when anything happened.
  Result<bool> advance(Incoming& message, bool& moved);

 private:
  [[nodiscard]] const Slot& next_slot() const noexcept { return lanes_.theirs->slots[next_ % kSlots]; }
  static void deliver(const Slot& slot, std::size_t size, const Sink& sink) {
    if (sink.consumer == nullptr)
      copy_small(sink.data, slot.payload.data(), size);
    else if (size > 0)
      sink.consumer->consume(0, ConstBytes(slot.payload).first(size));
  }
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
    lanes_.peer_arena->tell(lanes_.mine->slots_taken, next_);
  }

  Lanes lanes_;
  std::uint64_t next_ = 0;
  std::uint64_t position_ = 0;
  std::uint64_t position_told_ = 0;
};

}  // namespace tutti::shm
