#include "transports/shm/lane.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/kernels.h"
#include "transports/shm/cma.h"

namespace tutti::shm {
namespace {

// Up to here a message is announced when it lies in the far ring as a whole; longer ones are taken out while they are put in.
constexpr std::size_t kWholeBytes = 8192;
// Pieces in which long messages move: small enough to stay in the first two caches, large enough to hide the counters.
constexpr std::size_t kSegment = std::size_t{32} << 10;
// What one call moves at most, so that other connections get their turn.
constexpr std::size_t kTurnBytes = std::size_t{256} << 10;
constexpr std::size_t kReadTurnBytes = std::size_t{1} << 20;

// Caches fetch ahead by themselves, but only to the end of a page.
void fetch_page_starts(const std::byte* from, std::size_t size) noexcept {
  constexpr std::size_t kLines = 4;
  const std::byte* const end = from + size;
  const std::size_t into_page = reinterpret_cast<std::uintptr_t>(from) % kPage;
  for (const std::byte* page = from + (kPage - into_page) % kPage; page < end; page += kPage)
    for (std::size_t line = 0; line < kLines; ++line) __builtin_prefetch(page + line * kLine, 0, 2);
}

Error nonsense(Rank peer, std::string_view what) {
  return {Code::protocol, fmt::format("the shared memory of rank {} is damaged: {}", peer, what), peer};
}

}  // namespace

void Outbox::open(const Lanes& lanes) noexcept { lanes_ = lanes; }
void Inbox::open(const Lanes& lanes) noexcept { lanes_ = lanes; }

Status Outbox::ask_taken() {
  Taken& taken = *lanes_.taken;
  taken.there = std::max(taken.there, lanes_.theirs->slots_taken.load());
  if (taken.there > next_) return nonsense(lanes_.peer, "more messages were taken than sent");
  return {};
}

// Free bytes of the far ring; asks the peer only when a quarter is not free by what is known.
Result<std::size_t> Outbox::far_room() {
  const std::size_t ring = lanes_.my_ring_bytes;
  if (ring - (position_ - bytes_taken_) >= ring / 4) return ring - (position_ - bytes_taken_);
  bytes_taken_ = lanes_.theirs->bytes_taken.load();
  if (position_ - bytes_taken_ > ring) return nonsense(lanes_.peer, "more bytes were taken than sent");
  return ring - (position_ - bytes_taken_);
}

void Outbox::put_far(ConstBytes bytes, bool past_caches) noexcept {
  const std::size_t at = position_ & (lanes_.my_ring_bytes - 1);
  const std::size_t first = std::min(bytes.size(), lanes_.my_ring_bytes - at);
  kernels::copy(lanes_.my_ring + at, bytes.data(), first, past_caches);
  if (first < bytes.size()) kernels::copy(lanes_.my_ring, bytes.data() + first, bytes.size() - first, past_caches);
  position_ += whole_lines(bytes.size());
}

Result<bool> Outbox::advance(Outgoing& message, bool& moved) {
  if (!message.announced) {
    Result<bool> announced = announce(message);
    if (!announced || !*announced) return announced;
    moved = true;
    if (message.kind != Kind::direct && message.kind != Kind::streamed) return true;
  }
  if (message.kind == Kind::direct) {
    Result<bool> done = hear_answer(message, moved);
    if (!done || *done || message.kind == Kind::direct) return done;
  }
  return stream(message, moved);
}

// true: the slot is written.
Result<bool> Outbox::announce(Outgoing& message) {
  const bool small = message.data.size() <= kNearBytes;  // there was no room for it by what was known
  if (small || next_ - lanes_.taken->there >= kSlots)
    if (Status asked = ask_taken(); !asked) return std::move(asked.error());
  if (next_ - lanes_.taken->there >= kSlots) return false;
  if (small && send_small(message.signature, message.data)) return message.announced = true;
  Result<bool> placed = place(message);
  if (!placed || !*placed) return placed;
  Slot& slot = lanes_.mine->slots[next_ % kSlots];
  const Announcement announcement{.size = message.data.size(), .address = reinterpret_cast<std::uint64_t>(message.data.data())};
  std::memcpy(slot.payload.data(), &announcement, sizeof announcement);
  publish(slot, message.signature, message.kind, message.kind == Kind::far ? message.data.size() : 0);
  return message.announced = true;
}

// Which way a message takes that is not sent as a small one; false: the one it should take has no room.
Result<bool> Outbox::place(Outgoing& message) {
  const std::size_t size = message.data.size();
  if (size > std::min(kWholeBytes, lanes_.my_ring_bytes / 4)) {
    const bool direct = size >= tuning_.direct_from && lanes_.theirs->reads_peer.load() != 0;
    message.kind = direct ? Kind::direct : Kind::streamed;
    return true;
  }
  message.kind = Kind::far;
  const Result<std::size_t> room = far_room();
  if (!room) return room.error().clone();
  if (*room < whole_lines(size)) return false;
  put_far(message.data, size >= tuning_.past_caches_from);
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
  const bool past_caches = message.data.size() >= tuning_.past_caches_from;
  while (message.copied < goal) {
    const Result<std::size_t> room = far_room();
    if (!room) return room.error().clone();
    const std::size_t piece = std::min({goal - message.copied, *room, kSegment, lanes_.my_ring_bytes / 4});
    if (piece == 0) break;
    put_far(message.data.subspan(message.copied, piece), past_caches);
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
  const Slot& slot = next_slot();
  const std::uint64_t head = slot.head.load();
  const Signature signature = slot.signature;
  const Kind kind = kind_of(head);
  Announcement announcement;
  std::memcpy(&announcement, slot.payload.data(), sizeof announcement);
  const bool announced = kind == Kind::streamed || kind == Kind::direct;
  const std::size_t size = announced ? announcement.size : shm::size_of(head);
  if (signature != message.expected || size != message.sink.size)
    return mismatch(message.expected, message.sink.size, signature, size, lanes_.peer);
  switch (kind) {
    case Kind::in_slot:
    case Kind::near:
      return nonsense(lanes_.peer, "a message is larger than its place");  // else it had been taken as a small one
    case Kind::far:
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
  take_slot(slot);
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
    fetch_page_starts(from, part);
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
  take_slot(next_slot());
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
  // A sender that has given up has its buffer back: what was read may be anything.
  if (lanes_.theirs->closed.load() != 0)
    return Error(Code::peer_lost, fmt::format("rank {} closed its connection before its message was read", lanes_.peer),
                 lanes_.peer);
  answer(Verdict::done);
  take_slot(next_slot());
  return true;
}

void Inbox::answer(Verdict verdict) noexcept { lanes_.peer_arena->tell(lanes_.mine->answer, make_answer(next(), verdict)); }

}  // namespace tutti::shm
