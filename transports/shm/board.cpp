#include "transports/shm/board.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "kernels/kernels.h"
#include "transports/shm/unix_socket.h"

namespace tutti::shm {
namespace {

// A system call to see whether a member is still there, once in so many looks that found nothing.
constexpr std::uint32_t kMissesPerLook = 1024;

constexpr std::size_t whole_lines(std::size_t bytes) noexcept { return (bytes + kLine - 1) / kLine * kLine; }

Error damaged(Rank member, std::string_view what) {
  return {Code::protocol, fmt::format("the shared memory of rank {} is damaged: {}", member, what), member};
}

}  // namespace

std::size_t ShmBoard::least_stage(Rank members) noexcept { return static_cast<std::size_t>(members) * 8 * kLine; }

ShmBoard::ShmBoard(const Arena& arena, Region region, Rank me, Rank members)
    : region_(region),
      me_(me),
      mine_(reinterpret_cast<BoardMemory*>(arena.at(region.offset))),
      stage_(arena.at(region.offset) + sizeof(BoardMemory)),
      stage_bytes_(region.size - sizeof(BoardMemory)),
      others_(static_cast<std::size_t>(members)),
      least_stage_(stage_bytes_) {
  arena.enter(region_);
  mine_->stage_bytes = stage_bytes_;
}

Status ShmBoard::join(Rank member, std::shared_ptr<PeerArena> arena, std::size_t offset, const Lane& lane, const Fd& socket) {
  const auto* board = reinterpret_cast<const BoardMemory*>(arena->data() + offset);
  const bool fits = offset % kLine == 0 && offset >= kPage && offset <= arena->size() && arena->size() - offset >= sizeof *board;
  const std::size_t stage = fits ? board->stage_bytes : 0;
  if (stage < least_stage(members()) || stage % kLine != 0 || stage > arena->size() - offset - sizeof *board)
    return Error(Code::protocol, fmt::format("rank {} names a board that does not lie in its shared memory", member), member);
  arena->enter({offset, sizeof *board + stage});
  other(member) = {.board = board, .stage_bytes = stage, .arena = std::move(arena), .lane = &lane, .socket = &socket};
  least_stage_ = std::min(least_stage_, stage);
  ++joined_;
  return {};
}

void ShmBoard::leave(Rank member) noexcept {
  if (other(member).board == nullptr) return;
  other(member) = {};
  --joined_;
}

// What all have taken. Who does not need the next ones may have taken them already.
void ShmBoard::see_taken() noexcept {
  std::uint64_t least = next_;
  for (Rank r = 0; r < members(); ++r)
    if (r != me_) least = std::min(least, taken_by(r));
  taken_ = std::max(taken_, least);
}

std::uint64_t ShmBoard::taken_by(Rank member) noexcept {
  return other(member).board->taken[static_cast<std::size_t>(me_)].load();
}

bool ShmBoard::has_slot() noexcept {
  if (next_ - taken_ == kSlots) see_taken();
  return next_ - taken_ < kSlots;
}

// Where in the stage, if there is room.
std::optional<std::size_t> ShmBoard::find_room(std::size_t bytes) noexcept {
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (taken_ == next_) end_ = 0;
    std::size_t at = end_;
    if (at % stage_bytes_ + bytes > stage_bytes_) at += stage_bytes_ - at % stage_bytes_;
    const std::size_t oldest = taken_ == next_ ? at : at_[taken_ % kSlots];
    if (at + bytes - oldest <= stage_bytes_) {
      at_[next_ % kSlots] = at;
      end_ = at + bytes;
      return at % stage_bytes_;
    }
    see_taken();
  }
  return std::nullopt;
}

Result<bool> ShmBoard::publish(const Signature& signature, std::span<const ConstBytes> parts) {
  if (!has_slot()) return wait_for_readers();
  Slot& slot = mine_->slots[next_ % kSlots];
  if (parts.size() == 1 && parts[0].size() <= kInline) {
    if (!parts[0].empty()) std::memcpy(slot.payload.data(), parts[0].data(), parts[0].size());
    at_[next_ % kSlots] = end_;
    publish(slot, signature, Kind::in_slot, parts[0].size());
    return true;
  }
  std::size_t largest = 0;
  for (const ConstBytes part : parts) largest = std::max(largest, part.size());
  const std::size_t stride = parts.size() > 1 ? whole_lines(largest) : 0;
  const auto room = find_room(std::max(parts.size() * stride, whole_lines(largest)));
  if (!room) return wait_for_readers();
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (!parts[i].empty() && (parts.size() == 1 || i != static_cast<std::size_t>(me_)))
      kernels::copy(stage_ + *room + i * stride, parts[i].data(), parts[i].size());
  const Announcement announcement{.size = largest, .address = *room, .cell = stride};
  std::memcpy(slot.payload.data(), &announcement, sizeof announcement);
  publish(slot, signature, Kind::staged, 0);
  return true;
}

void ShmBoard::publish(Slot& slot, const Signature& signature, Kind kind, std::size_t size) noexcept {
  slot.signature = signature;
  slot.head.store(make_head(next_++, kind, size));
  for (const Other& other : others_)
    if (other.arena) other.arena->wake_sleepers();
}

// Whether it is time for a system call to see who is still there: seldom, but before each sleep.
bool ShmBoard::misses_long() noexcept { return ++misses_ % kMissesPerLook == 0 || waits_ > 0; }

// There is no room before those who are behind have taken what was published.
Result<bool> ShmBoard::wait_for_readers() {
  if (!misses_long()) return false;
  const auto is_behind = [this](Rank r) { return r != me_ && taken_by(r) == taken_; };
  for (Rank r = 0; r < members(); ++r)
    if (is_behind(r) && has_gone(r) && is_behind(r)) return gone(r);  // it may have taken something before it went
  return false;
}

Result<const std::byte*> ShmBoard::look(Rank member, const Signature& expected, std::size_t bytes) {
  Other& from = other(member);
  const Slot& slot = from.board->slots[from.next % kSlots];
  const std::uint64_t head = slot.head.load();
  if (!is_message(head, from.next)) {
    // What it published before it went is still there.
    if (misses_long() && has_gone(member) && !is_message(slot.head.load(), from.next)) return gone(member);
    return nullptr;
  }
  if (kind_of(head) == Kind::in_slot) {
    if (slot.signature != expected || shm::size_of(head) != bytes)
      return mismatch(expected, bytes, slot.signature, shm::size_of(head), member);
    if (bytes > kInline) return damaged(member, "a publication does not fit its slot");
    return slot.payload.data();
  }
  Announcement announcement;
  std::memcpy(&announcement, slot.payload.data(), sizeof announcement);
  const std::size_t size = announcement.size, address = announcement.address, stride = announcement.cell;
  if (slot.signature != expected || size < bytes) return mismatch(expected, bytes, slot.signature, size, member);
  const std::size_t room = from.stage_bytes, before = static_cast<std::size_t>(me_) * std::min<std::size_t>(stride, room);
  const bool in_lines = address % kLine == 0 && stride % kLine == 0;
  if (kind_of(head) != Kind::staged || !in_lines || address > room || before > room - address || bytes > room - address - before)
    return damaged(member, "a publication does not lie on its board");
  return reinterpret_cast<const std::byte*>(from.board + 1) + address + before;
}

void ShmBoard::take(Rank member) noexcept {
  Other& from = other(member);
  from.arena->tell(mine_->taken[static_cast<std::size_t>(member)], ++from.next);
}

bool ShmBoard::has_gone(Rank member) noexcept {
  return other(member).lane->closed.load() != 0 || has_hung_up(*other(member).socket);
}

Error ShmBoard::gone(Rank member) {
  const bool closed = other(member).lane->closed.load() != 0;
  return {Code::peer_lost,
          fmt::format("rank {} {} while this rank still waited for it", member, closed ? "closed its connection" : "died"),
          member};
}

}  // namespace tutti::shm
