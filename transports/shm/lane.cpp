#include "transports/shm/lane.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "kernels/kernels.h"
#include "transports/shm/cma.h"

namespace tutti::shm {
namespace {

// What one call moves at most, so that other connections get their turn.
constexpr std::size_t kTurnBytes = std::size_t{256} << 10;
static_assert(kTurnBytes % Cells::kMostBytes == 0);             // both sides cut a message alike
constexpr std::size_t kReadTurnBytes = std::size_t{1} << 20;    // of memory that is not mapped
constexpr std::size_t kHandedBackBytes = std::size_t{8} << 10;  // at a time: what is read with them stays in the first cache

// Caches fetch ahead by themselves, but only to the end of a page.
void fetch_page_starts(const std::byte* from, std::size_t size) noexcept {
  constexpr std::size_t kLines = 4;
  const std::byte* const end = from + size;
  const std::size_t into_page = reinterpret_cast<std::uintptr_t>(from) % kPage;
  for (const std::byte* page = from + (kPage - into_page) % kPage; page < end; page += kPage)
    for (std::size_t line = 0; line < kLines; ++line) __builtin_prefetch(page + line * kLine, 0, 2);
}

// The next bytes of a message.
void deliver(Incoming& message, ConstBytes piece) {
  fetch_page_starts(piece.data(), piece.size());
  if (message.sink.consumer != nullptr)
    message.sink.consumer->consume(message.arrived, piece);
  else
    kernels::copy(message.sink.data + message.arrived, piece.data(), piece.size(), message.sink.past_caches);
  message.arrived += piece.size();
}

// While this rank writes into the peer's memory. A peer that gives up has its memory back when it sees that nobody does: either
// this rank sees that it has given up, or it sees that this rank has begun.
class WritesThere {
 public:
  explicit WritesThere(const Lanes& lanes) noexcept : writes_(lanes.mine->writes_there) {
    writes_.store(1);
    allowed_ = lanes.theirs->closed.load() == 0;
  }
  WritesThere(const WritesThere&) = delete;
  WritesThere& operator=(const WritesThere&) = delete;
  ~WritesThere() { writes_.store(0); }
  [[nodiscard]] bool allowed() const noexcept { return allowed_; }

 private:
  std::atomic<std::uint32_t>& writes_;
  bool allowed_;
};

// Writes to each line of these bytes, which are the call's on both sides, what is there.
void hand_back(std::byte* data, std::size_t size) noexcept {
  using Word = std::uint64_t;
  const auto begin = reinterpret_cast<std::uintptr_t>(data), end = begin + size;
  for (auto at = (begin + sizeof(Word) - 1) / sizeof(Word) * sizeof(Word); at + sizeof(Word) <= end;
       at = (at / kLine + 1) * kLine) {
    const std::atomic_ref word(*reinterpret_cast<Word*>(at));  // NOLINT(performance-no-int-to-ptr)
    word.store(word.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
}

Error nonsense(Rank peer, std::string_view what) {
  return {Code::protocol, fmt::format("the shared memory of rank {} is damaged: {}", peer, what), peer};
}

// Takes the cells that the peer has given back.
Status collect(const Lanes& lanes) {
  for (;; ++lanes.taken->cells) {
    const std::uint64_t entry = lanes.theirs->returned[lanes.taken->cells % Cells::kMost].load();
    if (!is_entry(entry, lanes.taken->cells)) return {};
    if (!lanes.cells->is_cell(cell_of(entry)) || !lanes.cells->give(cell_of(entry)))
      return nonsense(lanes.peer, fmt::format("cell {} was returned", cell_of(entry)));
  }
}

}  // namespace

Status Outbox::ask_taken() {
  Taken& taken = *lanes_.taken;
  taken.there = std::max(taken.there, lanes_.theirs->slots_taken.load());
  if (taken.there > next_) return nonsense(lanes_.peer, "more messages were taken than sent");
  return {};
}

// Whether there is a cell to fill, and the peer has not yet too many before it.
Result<bool> Outbox::have_cell() {
  const std::uint32_t most = lanes_.cells->most_sent();
  if (cells_sent_ - cells_taken_ >= most) {
    cells_taken_ = lanes_.theirs->cells_taken.load();
    if (cells_taken_ > cells_sent_) return nonsense(lanes_.peer, "more cells were taken than sent");
    if (cells_sent_ - cells_taken_ >= most) return false;
  }
  if (lanes_.cells->lacks())
    if (Status collected = collect(lanes_); !collected) return std::move(collected.error());
  return !lanes_.cells->empty();
}

// There must be one.
std::uint32_t Outbox::fill_cell(ConstBytes bytes, const Outgoing& message) noexcept {
  const std::size_t size = message.data.size();
  const std::uint32_t cell = size < tuning_.oldest_first_from ? lanes_.cells->take_newest() : lanes_.cells->take_oldest();
  kernels::copy(lanes_.cells->at(cell), bytes.data(), bytes.size(), size >= tuning_.past_caches_from);
  ++cells_sent_;
  return cell;
}

// Both ends, one behind the other.
std::uint32_t Outbox::fill_cell_with_ends(const Outgoing& message) noexcept {
  const std::uint32_t cell = lanes_.cells->take_newest();
  std::memcpy(lanes_.cells->at(cell), message.data.data(), message.head);
  std::memcpy(lanes_.cells->at(cell) + message.head, message.data.last(message.tail).data(), message.tail);
  ++cells_sent_;
  return cell;
}

Result<bool> Outbox::advance(Outgoing& message, bool& moved) {
  if (!message.announced && message.kind != Kind::placed) {
    Result<bool> announced = announce(message);
    if (!announced || !*announced) return announced;
    moved = true;
    if (message.kind == Kind::in_slot || message.kind == Kind::in_cell) return true;
  }
  if (message.kind == Kind::placed) return place(message, moved);
  if (message.kind == Kind::direct) {
    Result<bool> done = hear_answer(message, moved);
    if (!done || *done || message.kind == Kind::direct) return done;
  }
  return stream(message, moved);
}

// true: the slot is written, or how the message goes is known, and will be written when it is there.
Result<bool> Outbox::announce(Outgoing& message) {
  if (next_ - lanes_.taken->there >= kSlots)
    if (Status asked = ask_taken(); !asked) return std::move(asked.error());
  if (next_ - lanes_.taken->there >= kSlots) return false;
  if (send_small(message.signature, message.data)) return message.announced = true;
  Announcement announcement{.size = message.data.size(), .address = reinterpret_cast<std::uint64_t>(message.data.data())};
  NamedPart memory;
  Result<bool> in_place = choose_in_place(message, memory);
  if (!in_place) return in_place;
  if (message.kind == Kind::placed) return true;
  if (*in_place && memory.ends() > 0) {
    Result<bool> ready = have_cell();
    if (!ready || !*ready) return ready;
    announcement.cell = fill_cell_with_ends(message);
  } else if (!*in_place) {
    Result<bool> ready = choose_copied(message, announcement);
    if (!ready || !*ready) return ready;
  }
  publish(message, announcement, memory);
  return message.announced = true;
}

// The message goes through cells, or the system copies it. false: it has to wait for a cell.
Result<bool> Outbox::choose_copied(Outgoing& message, Announcement& announcement) {
  if (message.data.size() > lanes_.cells->cell_bytes()) {
    const bool direct = message.data.size() >= tuning_.direct_from && lanes_.theirs->reads_peer.load() != 0;
    message.kind = direct ? Kind::direct : Kind::streamed;
    return true;
  }
  Result<bool> cell = have_cell();
  if (!cell || !*cell) return cell;
  message.kind = Kind::in_cell;
  announcement.cell = fill_cell(message.data, message);
  return true;
}

void Outbox::publish(const Outgoing& message, const Announcement& announcement, const NamedPart& memory) noexcept {
  Slot& slot = lanes_.mine->slots[next_ % kSlots];
  std::memcpy(slot.payload.data(), &announcement, sizeof announcement);
  if (message.kind == Kind::direct) std::memcpy(slot.payload.data() + sizeof announcement, &memory, sizeof memory);
  publish(slot, message.signature, message.kind, 0);
}

// Whether the message goes without a copy in between. What this rank has just written it puts where it belongs, if that is known;
// of what it has not, the receiver takes what it gets: where both sides send, both are at work then.
Result<bool> Outbox::choose_in_place(Outgoing& message, NamedPart& memory) {
  const std::size_t size = message.data.size();
  const auto name_it = [&] {
    if (size / (message.awaited ? 4 : 1) < tuning_.mapped_from) return false;
    memory = lanes_.handover->name(message.data, Handover::kOnTheWayForMessages);
    if (memory.memory.segment == 0 || memory.ends() > lanes_.cells->cell_bytes()) return false;
    message.kind = Kind::direct;
    message.head = memory.head;
    message.tail = memory.tail;
    return true;
  };
  if (!message.just_written && name_it()) return true;
  if (size >= tuning_.placed_from) {
    Result<bool> offered = find_offer(message);
    if (offered && *offered) message.kind = Kind::placed;
    if (!offered || *offered) return offered;
  }
  return message.just_written && name_it();
}

// Whether the receiver has said where it wants the message, and this rank can reach that place.
Result<bool> Outbox::find_offer(Outgoing& message) {
  const Offer& offer = lanes_.theirs->offers[next_ % kSlots];
  if (offer.message.load() != next_ + 1 || offer.size != message.data.size()) return false;
  const NamedPart memory = offer.memory;  // which the peer could change between being checked and being used
  if (memory.ends() > std::min(message.data.size(), lanes_.cells->cell_bytes()))
    return nonsense(lanes_.peer, "an offer has ends that fit no cell");
  auto goal = lanes_.handover->find(memory.memory, message.data.size() - memory.ends());
  if (!goal) return std::move(goal.error());
  goal_ = std::move(*goal);
  goal_past_caches_ = offer.past_caches != 0;
  if (goal_.data == nullptr) return false;
  message.copied = message.head = memory.head;
  message.tail = memory.tail;
  return true;
}

Result<bool> Outbox::place(Outgoing& message, bool& moved) {
  const WritesThere writes(lanes_);
  if (!writes.allowed()) return false;  // it is found out when all that it has sent before has been received
  const std::size_t goal = message.data.size() - message.tail;
  const ConstBytes piece = message.data.subspan(message.copied, std::min(goal - message.copied, kTurnBytes));
  kernels::copy(goal_.data + (message.copied - message.head), piece.data(), piece.size(), goal_past_caches_);
  message.copied += piece.size();
  moved = moved || !piece.empty();
  if (message.copied < goal) return false;
  Announcement announcement{.size = message.data.size()};
  if (message.head + message.tail > 0) {
    Result<bool> ready = have_cell();
    if (!ready || !*ready) return ready;
    announcement.cell = fill_cell_with_ends(message);
  }
  goal_ = {};
  moved = true;
  publish(message, announcement, {});
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
    const Result<bool> cell = have_cell();
    if (!cell) return cell.error().clone();
    if (!*cell) break;
    const ConstBytes piece = message.data.subspan(message.copied, std::min(goal - message.copied, lanes_.cells->cell_bytes()));
    const std::uint64_t n = pieces_++;
    lanes_.peer_arena->tell(lanes_.mine->pieces[n % Cells::kMost], make_entry(n, fill_cell(piece, message)));
    message.copied += piece.size();
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
  NamedPart memory;
  std::memcpy(&announcement, slot.payload.data(), sizeof announcement);
  const bool announced = kind == Kind::in_cell || kind == Kind::streamed || kind == Kind::direct || kind == Kind::placed;
  const std::size_t size = announced ? announcement.size : shm::size_of(head);
  if (signature != message.expected || size != message.sink.size)
    return mismatch(message.expected, message.sink.size, signature, size, lanes_.peer);
  switch (kind) {
    case Kind::in_slot:
      return nonsense(lanes_.peer, "a message is larger than its place");  // else it had been taken as a small one
    case Kind::in_cell:
      if (size > lanes_.cells->cell_bytes()) return nonsense(lanes_.peer, "a message is larger than its cell");
      if (Status taken = take_cell(announcement.cell, message); !taken) return std::move(taken.error());
      take_slot(slot);
      return true;
    case Kind::streamed:
      message.stage = Incoming::Stage::streaming;
      return false;
    case Kind::direct:
      message.address = announcement.address;
      message.stage = Incoming::Stage::reading;
      std::memcpy(&memory, slot.payload.data() + sizeof announcement, sizeof memory);
      message.head = memory.head;
      message.tail = memory.tail;
      if (Status sound = check_ends(message, announcement); !sound) return std::move(sound.error());
      if (memory.memory.segment != 0) {
        auto source = lanes_.handover->find(memory.memory, size - memory.ends());
        if (!source) return std::move(source.error());
        source_ = std::move(*source);  // where it cannot be mapped, it may still be read
      }
      return false;
    case Kind::placed:
      if (!message.offered) return nonsense(lanes_.peer, "a message was put where nobody had asked for it");
      if (Status sound = check_ends(message, announcement); !sound) return std::move(sound.error());
      std::memcpy(message.sink.data, lanes_.cells->at(message.ends_cell), message.head);
      std::memcpy(message.sink.data + size - message.tail, lanes_.cells->at(message.ends_cell) + message.head, message.tail);
      if (Status given = give_ends_cell(message); !given) return std::move(given.error());
      take_slot(slot);
      return true;
    case Kind::staged:
      break;  // it belongs on a board
  }
  return nonsense(lanes_.peer, fmt::format("a message of unknown kind {}", static_cast<int>(kind)));
}

// Hands out what lies in a cell, which is this rank's from then on.
Status Inbox::take_cell(std::uint64_t cell, Incoming& message) {
  Cells& cells = *lanes_.cells;
  if (!cells.is_cell(cell)) return nonsense(lanes_.peer, fmt::format("there is no cell {}", cell));
  const auto number = static_cast<std::uint32_t>(cell);
  const ConstBytes piece{cells.at(number), std::min(message.sink.size - message.arrived, cells.cell_bytes())};
  if (piece.empty()) return nonsense(lanes_.peer, "a cell was sent for nothing");
  deliver(message, piece);
  return give_cell(number);
}

// It is this rank's from now on.
Status Inbox::give_cell(std::uint32_t cell) {
  Cells& cells = *lanes_.cells;
  if (!cells.give(cell)) return nonsense(lanes_.peer, "more cells were sent than there are");
  if (Status collected = collect(lanes_); !collected) return collected;  // they count, too
  cells.give_back_surplus([this](std::uint32_t surplus) {
    const std::uint64_t n = cells_returned_++;
    lanes_.mine->returned[n % Cells::kMost].store(make_entry(n, surplus), std::memory_order_release);
  });
  lanes_.peer_arena->tell(lanes_.mine->cells_taken, ++cells_taken_);  // a sender that sleeps for a cell looks at both
  return {};
}

// That the ends of a message lie in the cell that is named for them.
Status Inbox::check_ends(Incoming& message, const Announcement& announcement) const {
  const std::size_t ends = std::size_t{message.head} + message.tail;
  const Cells& cells = *lanes_.cells;
  message.ends_cell = 0;
  if (ends == 0) return {};
  if (ends > std::min(message.sink.size, cells.cell_bytes()) || message.head % Consumer::kGrain != 0 ||
      (message.tail > 0 && (message.sink.size - message.tail) % Consumer::kGrain != 0) || !cells.is_cell(announcement.cell))
    return nonsense(lanes_.peer, fmt::format("a message of {} bytes has ends of {} and {} bytes in cell {}", message.sink.size,
                                             message.head, message.tail, announcement.cell));
  message.ends_cell = static_cast<std::uint32_t>(announcement.cell);
  return {};
}

// All is done with the ends of a message, if it has any.
Status Inbox::give_ends_cell(Incoming& message) {
  return std::exchange(message.head, 0) + std::exchange(message.tail, 0) > 0 ? give_cell(message.ends_cell) : Status{};
}

Result<bool> Inbox::stream(Incoming& message, bool& moved) {
  const std::size_t goal = std::min(message.sink.size, message.arrived + kTurnBytes);
  while (message.arrived < goal) {
    const std::uint64_t entry = lanes_.theirs->pieces[pieces_ % Cells::kMost].load();
    if (!is_entry(entry, pieces_)) break;
    ++pieces_;
    if (Status taken = take_cell(cell_of(entry), message); !taken) return std::move(taken.error());
    moved = true;
  }
  if (message.arrived < message.sink.size) return false;
  take_slot(next_slot());
  return true;
}

// false: it cannot be read.
bool Inbox::read_piece(Incoming& message, std::size_t size) {
  if (source_.data == nullptr) {
    const Bytes into{message.sink.data + message.arrived, size};
    const bool readable = lanes_.process != 0 && message.sink.consumer == nullptr;
    if (!readable || !read_memory(lanes_.process, message.address + message.arrived, into)) return false;
    message.arrived += size;
    return true;
  }
  std::byte* const piece = source_.data + (message.arrived - message.head);
  deliver(message, {piece, size});
  if (hands_back(message)) hand_back(piece, size);
  return true;
}

bool Inbox::hands_back(const Incoming& message) const noexcept {
  return source_.data != nullptr && message.sink.size < tuning_.handed_back_below;
}

Result<bool> Inbox::read(Incoming& message, bool& moved) {
  const bool mapped = source_.data != nullptr;
  const std::size_t most = hands_back(message) ? kHandedBackBytes : mapped ? Cells::kMostBytes : kReadTurnBytes;
  moved = true;
  if (!mapped)  // all of it is read elsewhere, or comes in cells
    if (Status given = give_ends_cell(message); !given) return std::move(given.error());
  const std::byte* const ends = lanes_.cells->at(message.ends_cell);
  if (message.arrived == 0 && message.head > 0) deliver(message, {ends, message.head});
  const std::size_t end = message.sink.size - message.tail;
  const std::size_t goal = std::min(end, message.arrived + (mapped ? kTurnBytes : kReadTurnBytes));
  {
    std::optional<WritesThere> writes;
    if (hands_back(message) && !writes.emplace(lanes_).allowed()) return closed_early();
    while (message.arrived < goal) {
      const std::size_t size = std::min(goal - message.arrived, most);
      if (!read_piece(message, size)) return stream_instead(message);
    }
  }
  if (message.arrived < end) return false;
  if (message.tail > 0) deliver(message, {ends + message.head, message.tail});
  if (Status given = give_ends_cell(message); !given) return std::move(given.error());
  source_ = {};
  // A sender that has given up has its buffer back: what was read may be anything. First read, then look;
  // std::atomic_thread_fence does not compile for the thread sanitizer.
  __sync_synchronize();
  if (lanes_.theirs->closed.load() != 0) return closed_early();
  answer(Verdict::done);
  take_slot(next_slot());
  return true;
}

Error Inbox::closed_early() const {
  return {Code::peer_lost, fmt::format("rank {} closed its connection before its message was read", lanes_.peer), lanes_.peer};
}

// The sender's memory cannot be read, or no more: from the beginning through cells. A peer that has died is found out there.
bool Inbox::stream_instead(Incoming& message) noexcept {
  if (source_.data == nullptr && message.sink.consumer == nullptr) lanes_.process = 0;
  source_ = {};
  message.arrived = 0;
  message.stage = Incoming::Stage::streaming;
  answer(Verdict::stream);
  return false;
}

// What has no memory of its own, or none that a peer can reach, is not offered. The offer of a message may be written when all
// are done with the one that was offered there before, and is of use only if the message is not under way yet.
void Inbox::offer(Incoming& message, std::size_t ahead) {
  if (message.sink.consumer != nullptr || message.sink.size < tuning_.placed_from || ahead >= kSlots) return;
  const NamedPart memory = lanes_.handover->name({message.sink.data, message.sink.size}, Handover::kOnTheWayForOffers);
  if (memory.memory.segment == 0 || memory.ends() > lanes_.cells->cell_bytes()) return;
  message.head = memory.head;
  message.tail = memory.tail;
  Offer& offer = lanes_.mine->offers[(next() + ahead) % kSlots];
  offer.size = message.sink.size;
  offer.memory = memory;
  offer.past_caches = message.sink.past_caches ? 1 : 0;
  offer.message.store(next() + ahead + 1, std::memory_order_release);
  message.offered = true;
}

void Inbox::answer(Verdict verdict) noexcept { lanes_.peer_arena->tell(lanes_.mine->answer, make_answer(next(), verdict)); }

}  // namespace tutti::shm
