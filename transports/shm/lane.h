// The two ends of a lane: Outbox writes messages into this rank's lane, Inbox takes them from the peer's.
#pragma once

#include <sys/types.h>

#include <cstring>

#include "transports/shm/arena.h"

namespace tutti::shm {

// What both ends of a lane know: messages that have been taken, by this rank and, as far as known, by the peer; and cells that
// the peer gave back and this rank has collected.
struct Taken {
  std::uint64_t here = 0;
  std::uint64_t there = 0;
  std::uint64_t cells = 0;
};

// Both sides' lanes of a connection.
struct Lanes {
  Lane* mine = nullptr;
  const Lane* theirs = nullptr;
  Taken* taken = nullptr;  // shared by both ends, and so are the cells and what is handed over
  Cells* cells = nullptr;
  Handover* handover = nullptr;
  const PeerArena* peer_arena = nullptr;
  Rank peer = kNoRank;
  pid_t process = 0;  // of the peer, when its memory can be read, else 0
};

struct Outgoing {
  Signature signature;
  ConstBytes data;
  bool just_written = false, awaited = false;  // as the source says
  std::size_t copied = 0;
  Kind kind = Kind::in_slot;
  bool announced = false;
  std::uint32_t head = 0, tail = 0;  // that go in a cell
};

struct Incoming {
  enum class Stage : std::uint8_t { awaited, streaming, reading };
  Signature expected;
  Sink sink;
  std::size_t arrived = 0;
  std::uint64_t address = 0;
  std::uint32_t head = 0, tail = 0, ends_cell = 0;  // direct: that lie in a cell; offered: that will
  bool offered = false;                             // the peer may put it where it belongs
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
  void open(const Lanes& lanes) noexcept { lanes_ = lanes; }
  // A message that fits a slot, if one is known to be free. Nothing unfinished may be before it.
  bool send_small(const Signature& signature, ConstBytes data) noexcept {
    if (data.size() > kInline || next_ - lanes_.taken->there >= kSlots) return false;
    Slot& slot = lanes_.mine->slots[next_ % kSlots];
    copy_small(slot.payload.data(), data.data(), data.size());
    publish(slot, signature, Kind::in_slot, data.size());
    return true;
  }
  // Brings the oldest unfinished message forward. true: finished. `moved` is set when anything happened.
  Result<bool> advance(Outgoing& message, bool& moved);
  void tune(const LinkTuning& tuning) noexcept { tuning_ = tuning; }

 private:
  Status ask_taken();
  Result<bool> choose_in_place(Outgoing& message, NamedPart& memory);
  Result<bool> choose_copied(Outgoing& message, Announcement& announcement);
  void publish(const Outgoing& message, const Announcement& announcement, const NamedPart& memory) noexcept;
  Result<bool> find_offer(Outgoing& message);
  Result<bool> place(Outgoing& message, bool& moved);
  Result<bool> have_cell();
  std::uint32_t fill_cell(ConstBytes bytes, const Outgoing& message) noexcept;
  std::uint32_t fill_cell_with_ends(const Outgoing& message) noexcept;
  Result<bool> announce(Outgoing& message);
  Result<bool> stream(Outgoing& message, bool& moved);
  Result<bool> hear_answer(Outgoing& message, bool& moved);

  void publish(Slot& slot, const Signature& signature, Kind kind, std::size_t size) noexcept {
    slot.signature = signature;
    slot.taken = lanes_.taken->here;
    const std::uint64_t head = make_head(next_++, kind, size);
    lanes_.peer_arena->tell(slot.head, head);
  }

  Lanes lanes_;
  LinkTuning tuning_;
  std::uint64_t next_ = 0;                          // message
  std::uint64_t pieces_ = 0;                        // of streamed messages
  std::uint64_t cells_sent_ = 0, cells_taken_ = 0;  // taken by the peer, as last seen
  PeerMemory goal_;                                 // where a message is being placed
  bool goal_past_caches_ = false;
};

class Inbox {
 public:
  void open(const Lanes& lanes) noexcept { lanes_ = lanes; }
  // Whether a message that nobody has received yet is there.
  [[nodiscard]] bool has_next() const noexcept { return is_message(next_slot().head.load(), next()); }
  [[nodiscard]] bool next_is_direct() const noexcept { return kind_of(next_slot().head.load()) == Kind::direct; }
  // Finishes a receive whose message is there and small and just what was expected. false: advance() must look at it.
  bool take_small(const Incoming& message) noexcept {
    if (message.stage != Incoming::Stage::awaited) return false;
    const Slot& slot = next_slot();
    const std::uint64_t head = slot.head.load();
    const std::size_t size = shm::size_of(head);
    if (kind_of(head) != Kind::in_slot || size > kInline) return false;
    if (size != message.sink.size || slot.signature != message.expected) return false;
    if (message.sink.consumer == nullptr)
      copy_small(message.sink.data, slot.payload.data(), size);
    else if (size > 0)
      message.sink.consumer->consume(0, ConstBytes(slot.payload).first(size));
    take_slot(slot);
    return true;
  }
  // Brings a receive forward whose message is there. true: finished. `moved` is set when anything happened.
  Result<bool> advance(Incoming& message, bool& moved);
  // Lets the peer put the message that the `ahead`-th receive from now waits for where it belongs, if it can.
  void offer(Incoming& message, std::size_t ahead);
  void tune(const LinkTuning& tuning) noexcept { tuning_ = tuning; }

 private:
  [[nodiscard]] std::uint64_t next() const noexcept { return lanes_.taken->here; }  // message
  [[nodiscard]] const Slot& next_slot() const noexcept { return lanes_.theirs->slots[next() % kSlots]; }
  Result<bool> meet(Incoming& message);
  Result<bool> stream(Incoming& message, bool& moved);
  Result<bool> read(Incoming& message, bool& moved);
  bool read_piece(Incoming& message, std::size_t size);
  [[nodiscard]] bool hands_back(const Incoming& message) const noexcept;
  [[nodiscard]] Error closed_early() const;
  bool stream_instead(Incoming& message) noexcept;
  void answer(Verdict verdict) noexcept;
  Status take_cell(std::uint64_t cell, Incoming& message);
  Status give_cell(std::uint32_t cell);
  Status check_ends(Incoming& message, const Announcement& announcement) const;
  Status give_ends_cell(Incoming& message);
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
  LinkTuning tuning_;
  PeerMemory source_;         // that is being read
  std::uint64_t pieces_ = 0;  // of streamed messages
  std::uint64_t cells_taken_ = 0;
  std::uint64_t cells_returned_ = 0;
};

}  // namespace tutti::shm
