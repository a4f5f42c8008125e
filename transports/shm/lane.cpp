#include "transports/shm/lane.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/kernels.h"
#include "transports/shm/cma.h"

namespace tutti::shm {
namespace {

// Up to here a message is announced when it lies in the ring as a whole; longer ones are taken out while they are put in.
constexpr std::size_t kWholeBytes = 8192;
// Pieces in which long messages move: small enough to stay in the first two caches, large enough to hide the counters.
constexpr std::size_t kSegment = std::size_t{32} << 10;
// What one call moves at most, so that other connections get their turn.
constexpr std::size_t kTurnBytes = std::size_t{256} << 10;
constexpr std::size_t kReadTurnBytes = std::size_t{1} << 20;

Error nonsense(Rank peer, std::string_view what) {
  return {Code::protocol, fmt::format("the shared memory of rank {} is damaged: {}", peer, what), peer};
}

}  // namespace

void Outbox::open(const Lanes& lanes) noexcept { lanes_ = lanes; }
void Inbox::open(const Lanes& lanes) noexcept { lanes_ = lanes; }

Result<bool> Outbox::has_slot() {
  if (next_ - slots_taken_ < kSlots) return true;
  slots_taken_ = lanes_.theirs->slots_taken.load();
  if (next_ - slots_taken_ > kSlots) return nonsense(lanes_.peer, "more messages were taken than sent");
  return next_ - slots_taken_ < kSlots;
}

// Free bytes of the data ring; asks the peer only when a quarter is not free by what is known.
Result<std::size_t> Outbox::room() {
  const std::size_t ring = lanes_.my_ring_bytes;
  if (ring - (position_ - bytes_taken_) >= ring / 4) return ring - (position_ - bytes_taken_);
  bytes_taken_ = lanes_.theirs->bytes_taken.load();
  if (position_ - bytes_taken_ > ring) return nonsense(lanes_.peer, "more bytes were taken than sent");
  return ring - (position_ - bytes_taken_);
}

void Outbox::copy_in(ConstBytes bytes) noexcept {
  const std::size_t at = position_ & (lanes_.my_ring_bytes - 1);
  const std::size_t first = std::min(bytes.size(), lanes_.my_ring_bytes - at);
  const bool past_caches = bytes.size() >= tuning_.past_caches_from;
  kernels::copy(lanes_.my_ring + at, bytes.data(), first, past_caches);
  if (first < bytes.size()) kernels::copy(lanes_.my_ring, bytes.data() + first, bytes.size() - first, past_caches);
  position_ += whole_lines(bytes.size());
}

Result<bool> Outbox::advance(Outgoing& message, bool& moved) {
  if (!message.announced) {
    Result<bool> announced = announce(message);
    if (!announced || !*announced) return announced;
    moved = true;
    if (message.kind == Kind::in_slot || message.kind == Kind::in_ring) return true;
  }
  if (message.kind == Kind::direct) {
    Result<bool> done = hear_answer(message, moved);
    if (!done || *done || message.kind == Kind::direct) return done;
  }
  return stream(message, moved);
}

// true: the slot is written.
Result<bool> Outbox::announce(Outgoing& message) {
  Result<bool> slot_free = has_slot();
  if (!slot_free || !*slot_free) return slot_free;
  Slot& slot = lanes_.mine->slots[next_ % kSlots];
  const std::size_t size = message.data.size();
  if (size <= kInline) {
    message.kind = Kind::in_slot;
    if (size > 0) std::memcpy(slot.payload.data(), message.data.data(), size);
  } else if (size <= std::min(kWholeBytes, lanes_.my_ring_bytes / 4)) {
    const Result<std::size_t> free_bytes = room();
    if (!free_bytes) return free_bytes.error().clone();
    if (*free_bytes < whole_lines(size)) return false;
    message.kind = Kind::in_ring;
    copy_in(message.data);
  } else {
    const bool direct = size >= tuning_.direct_from && lanes_.theirs->reads_peer.load() != 0;
    message.kind = direct ? Kind::direct : Kind::streamed;
    const Announcement announcement{.size = size, .address = reinterpret_cast<std::uint64_t>(message.data.data())};
    std::memcpy(slot.payload.data(), &announcement, sizeof announcement);
  }
  message.announced = true;
  slot.signature = message.signature;
  const bool sized = message.kind == Kind::in_slot || message.kind == Kind::in_ring;
  publish(slot, message.kind, sized ? size : 0);
  return true;
}

// Nothing is sent after a direct message before its answer, so that `next_ - 1` is its number.
Result<bool> Outbox::hear_answer(Outgoing& message, bool& moved) {
  const std::uint64_t answer = lanes_.theirs->answer.load();
  if (answer >> 2 != next_ - 1 || (answer & 3) == 0) return false;
  moved = true;
  if (answer == make_answer(next_ - 1, Verdict::done)) return true;
  message.kind = Kind::streamed;
  return false;
}

Result<bool> Outbox::stream(Outgoing& message, bool& moved) {
  const std::size_t goal = std::min(message.data.size(), message.copied + kTurnBytes);
  while (message.copied < goal) {
    const Result<std::size_t> free_bytes = room();
    if (!free_bytes) return free_bytes.error().clone();
    const std::size_t piece = std::min({goal - message.copied, *free_bytes, kSegment, lanes_.my_ring_bytes / 4});
    if (piece == 0) break;
    copy_in(message.data.subspan(message.copied, piece));
    message.copied += piece;
    lanes_.peer_arena->tell(lanes_.mine->published, position_);
    moved = true;
  }
  return message.copied == message.data.size();
}

Result<bool> Inbox::advance(Incoming& message, bool& moved) {
  if (message.stage == Incoming::Stage::awaited) {
    Result<bool> finished = meet(message);
    if (!finished) return finished;
    moved = true;
    if (*finished) return true;
  }
  if (message.stage == Incoming::Stage::reading) {
    Result<bool> finished = read(message, moved);
    if (!finished || *finished || message.stage == Incoming::Stage::reading) return finished;
  }
  return stream(message, moved);
}

// The next message is there: compares it with what is expected. What the peer wrote about it is copied before it is looked at, as
// the peer could change it in between.
Result<bool> Inbox::meet(Incoming& message) {
  const Slot& slot = lanes_.theirs->slots[next_ % kSlots];
  const std::uint64_t head = slot.head.load();
  const Signature signature = slot.signature;
  const Kind kind = kind_of(head);
  Announcement announcement;
  std::memcpy(&announcement, slot.payload.data(), sizeof announcement);
  const bool sized = kind == Kind::in_slot || kind == Kind::in_ring;
  const std::size_t size = sized ? shm::size_of(head) : announcement.size;
  if (signature != message.expected || size != message.sink.size)
    return mismatch(message.expected, message.sink.size, signature, size, lanes_.peer);
  switch (kind) {
    case Kind::in_slot:
      if (size > kInline) return nonsense(lanes_.peer, "a message is larger than its slot");
      deliver(slot, size, message.sink);
      break;
    case Kind::in_ring:
      if (size > lanes_.their_ring_bytes) return nonsense(lanes_.peer, "a message is larger than the ring");
      take_out(message, size);
      break;
    case Kind::streamed:
      message.stage = Incoming::Stage::streaming;
      return false;
    case Kind::direct:
      message.address = announcement.address;
      message.stage = Incoming::Stage::reading;
      return false;
    default:
      return nonsense(lanes_.peer, fmt::format("a message of unknown kind {}", static_cast<int>(kind)));
  }
  take_slot();
  return true;
}

// Hands out bytes that lie in the ring: in two parts where the ring ends.
void Inbox::take_out(Incoming& message, std::size_t bytes) {
  const std::size_t mask = lanes_.their_ring_bytes - 1;
  std::size_t at = position_ & mask;
  std::size_t left = bytes;
  while (left > 0) {
    const std::size_t part = std::min(left, lanes_.their_ring_bytes - at);
    const std::byte* from = lanes_.their_ring + at;
    if (message.sink.consumer != nullptr) {
      message.sink.consumer->consume(message.arrived, {from, part});
    } else {
      std::memcpy(message.sink.data + message.arrived, from, part);
    }
    message.arrived += part;
    left -= part;
    at = 0;
  }
  take_bytes(whole_lines(bytes));
}

void Inbox::take_bytes(std::size_t bytes) noexcept {
  position_ += bytes;
  if (position_ - position_told_ < lanes_.their_ring_bytes / 8) return;
  position_told_ = position_;
  lanes_.peer_arena->tell(lanes_.mine->bytes_taken, position_);
}

Result<bool> Inbox::stream(Incoming& message, bool& moved) {
  const std::size_t goal = std::min(message.sink.size, message.arrived + kTurnBytes);
  while (message.arrived < goal) {
    const std::uint64_t published = lanes_.theirs->published.load();
    // Behind what was taken: nothing of this message has been published yet.
    const auto ahead = static_cast<std::int64_t>(published - position_);
    if (ahead <= 0) break;
    const auto there = static_cast<std::size_t>(ahead);
    if (there > lanes_.their_ring_bytes) return nonsense(lanes_.peer, "more bytes were sent than the ring holds");
    const std::size_t piece = std::min({message.sink.size - message.arrived, there, kSegment});
    take_out(message, piece);
    moved = true;
  }
  if (message.arrived < message.sink.size) return false;
  take_slot();
  return true;
}

Result<bool> Inbox::read(Incoming& message, bool& moved) {
  const std::size_t piece = std::min(message.sink.size - message.arrived, kReadTurnBytes);
  const bool readable = lanes_.process != 0 && message.sink.consumer == nullptr;
  moved = true;
  if (!readable ||
      !read_memory(lanes_.process, message.address + message.arrived, {message.sink.data + message.arrived, piece})) {
    // Not permitted, or no more: from the beginning through the ring. A peer that has died is found out there.
    if (message.sink.consumer == nullptr) lanes_.process = 0;
    message.arrived = 0;
    message.stage = Incoming::Stage::streaming;
    answer(Verdict::stream);
    return false;
  }
  message.arrived += piece;
  if (message.arrived < message.sink.size) return false;
  answer(Verdict::done);
  take_slot();
  return true;
}

void Inbox::answer(Verdict verdict) noexcept { lanes_.peer_arena->tell(lanes_.mine->answer, make_answer(next_, verdict)); }

}  // namespace tutti::shm
