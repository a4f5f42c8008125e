// The two ends of a lane: Outbox writes messages into this rank's lane, Inbox takes them from the peer's.
#pragma once

#include <sys/types.h>

#include <cstring>

#include "transports/shm/arena.h"

namespace tutti::shm {

// Messages that have been taken, by this rank and, as far as known, by the peer.
struct Taken {
  std::uint64_t here = 0;
  std::uint64_t there = 0;
};

// Both sides' lanes of a connection.
struct Lanes {
  LaneHeader* mine = nullptr;
  const LaneHeader* theirs = nullptr;
  std::byte* my_ring = nullptr;  // the far rings
  const std::byte* their_ring = nullptr;
  std::size_t my_ring_bytes = 0, their_ring_bytes = 0;  // powers of two
  Taken* taken = nullptr;                               // shared by both ends
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
  // A message that fits a slot or the near ring, if there is known to be room. Nothing unfinished may be before it.
  bool send_small(const Signature& signature, ConstBytes data) noexcept {
    if (data.size() > kNearBytes || next_ - lanes_.taken->there >= kSlots) return false;
    Slot& slot = lanes_.mine->slots[next_ % kSlots];
    if (data.size() <= kInline) {
      copy_small(slot.payload.data(), data.data(), data.size());
      publish(slot, signature, Kind::in_slot, data.size());
      return true;
    }
    if (data.size() >= tuning_.past_caches_from || !near_room(data.size())) return false;
    put_near(data);
    publish(slot, signature, Kind::near, data.size());
    return true;
  }
  // Brings the oldest unfinished message forward. true: finished. `moved` is set when anything happened.
  Result<bool> advance(Outgoing& message, bool& moved);
  void tune(const LinkTuning& tuning) noexcept { tuning_ = tuning; }

 private:
  Status ask_taken();
  Result<std::size_t> far_room();
  Result<bool> announce(Outgoing& message);
  Result<bool> place(Outgoing& message);
  Result<bool> stream(Outgoing& message, bool& moved);
  Result<bool> hear_answer(Outgoing& message, bool& moved);
  void put_far(ConstBytes bytes, bool past_caches) noexcept;

  // What has been taken is known by messages; where each of them ended in the near ring is remembered.
  [[nodiscard]] bool near_room(std::size_t size) const noexcept {
    const std::uint64_t free_from = lanes_.taken->there == 0 ? 0 : near_end_[(lanes_.taken->there - 1) % kSlots];
    return near_begin(near_position_, size) + whole_lines(size) - free_from <= kNearRing;
  }
  void put_near(ConstBytes data) noexcept {
    near_position_ = near_begin(near_position_, data.size());
    std::memcpy(lanes_.mine->near_ring.data() + near_position_ % kNearRing, data.data(), data.size());
    near_position_ += whole_lines(data.size());
  }
  void publish(Slot& slot, const Signature& signature, Kind kind, std::size_t size) noexcept {
    slot.signature = signature;
    slot.taken = lanes_.taken->here;
    near_end_[next_ % kSlots] = near_position_;
    const std::uint64_t head = make_head(next_++, kind, size);
    lanes_.peer_arena->tell(slot.head, head);
  }

  Lanes lanes_;
  LinkTuning tuning_;
  std::uint64_t next_ = 0;  // message
  std::uint64_t near_position_ = 0;
  std::array<std::uint64_t, kSlots> near_end_{};  // where the near ring ended when a message was published
  std::uint64_t position_ = 0;                    // in the far ring
  std::uint64_t bytes_taken_ = 0;                 // as last seen
};

class Inbox {
 public:
  void open(const Lanes& lanes) noexcept;
  // Whether a message that nobody has received yet is there.
  [[nodiscard]] bool has_next() const noexcept { return is_message(next_slot().head.load(), next()); }
  // Finishes a receive whose message is there and small and just what was expected. false: advance() must look at it.
  bool take_small(const Incoming& message) noexcept {
    if (message.stage != Incoming::Stage::awaited) return false;
    const Slot& slot = next_slot();
    const std::uint64_t head = slot.head.load();
    const std::size_t size = shm::size_of(head);
    if (size != message.sink.size || slot.signature != message.expected) return false;
    if (kind_of(head) == Kind::in_slot && size <= kInline)
      deliver(slot.payload.data(), size, message.sink);
    else if (kind_of(head) == Kind::near && size <= kNearBytes)
      take_near(size, message.sink);
    else
      return false;
    take_slot(slot);
    return true;
  }
  // Brings a receive forward whose message is there. true: finished. `moved` is set when anything happened.
  Result<bool> advance(Incoming& message, bool& moved);

 private:
  [[nodiscard]] std::uint64_t next() const noexcept { return lanes_.taken->here; }  // message
  [[nodiscard]] const Slot& next_slot() const noexcept { return lanes_.theirs->slots[next() % kSlots]; }
  static void deliver(const std::byte* from, std::size_t size, const Sink& sink) {
    if (sink.consumer == nullptr)
      copy_small(sink.data, from, size);
    else if (size > 0)
      sink.consumer->consume(0, {from, size});
  }
  void take_near(std::size_t size, const Sink& sink) {
    near_position_ = near_begin(near_position_, size);
    deliver(lanes_.theirs->near_ring.data() + near_position_ % kNearRing, size, sink);
    near_position_ += whole_lines(size);
  }
  Result<bool> meet(Incoming& message);
  Result<bool> stream(Incoming& message, bool& moved);
  Result<bool> read(Incoming& message, bool& moved);
  void answer(Verdict verdict) noexcept;
  void take_out(Incoming& message, std::size_t bytes);
  void take_bytes(std::size_t bytes) noexcept;
  // The sender asks only when it knows of no room; where this side sends, too, it need not. It sleeps for room only when no slot
  // is free, and is woken when some are.
  void take_slot(const Slot& slot) noexcept {
    lanes_.taken->there = std::max(lanes_.taken->there, slot.taken);
    const std::uint64_t taken = ++lanes_.taken->here;
    if (taken % (kSlots / 4) == 0)
      lanes_.peer_arena->tell(lanes_.mine->slots_taken, taken);
    else
      lanes_.mine->slots_taken.store(taken, std::memory_order_release);
  }

  Lanes lanes_;
  std::uint64_t near_position_ = 0;
  std::uint64_t position_ = 0;  // in the far ring
  std::uint64_t position_told_ = 0;
};

}  // namespace tutti::shm
