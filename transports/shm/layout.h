// What lies in shared memory. Every line has one writer (but in cells, see cells.h), and every counter only grows: nothing is
// ever reset, so that there is nothing to agree about.
//
// A rank's arena is written by that rank only (peers map it for reading). Each connection has one lane in the arena of each
// side: what this side sends, and what it has taken of what the other side sent. Its cells are memory of its own.
//
//   arena   | ArenaHeader | lane: slots, queues of cells | lane | board (board.h) | lane | ...
//   cells   | cell | cell | ...
//
// A message takes the next slot, whose head says by its sequence number that it is there. Up to kInline bytes lie in the
// slot itself, more in cells, or they stay in the sender's memory until the receiver takes them from there, or the sender puts
// them where the receiver has offered that it may. The lines behind a slot's first arrive with it, by the caches' own foresight,
// while what lies elsewhere takes another trip when the slot has been read (on a Zen 4, 32 bytes take 0.29 us instead of 0.40).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "transports/shm/cells.h"
#include "transports/shm/handover.h"
#include "tutti/transport.h"

namespace tutti::shm {

inline constexpr std::size_t kLine = 64;
inline constexpr std::uint32_t kSlots = 16;
inline constexpr std::size_t kInline = 24 + 4 * kLine;

enum class Kind : std::uint8_t {
  in_slot = 1,  // size in the head, bytes in the slot
  in_cell,      // Announcement in the slot; all bytes in its cell already
  streamed,     // Announcement in the slot; bytes come in cells, Lane::pieces says in which
  direct,       // Announcement in the slot; the receiver reads the sender's memory, or answers "stream it"
  placed,       // Announcement in the slot; the bytes lie in the receiver's memory already, where its Offer said
                // (both: but for the ends, if they have any, which lie in a cell)
  staged,       // published (board.h): Announcement in the slot; the parts lie in the stage
};

// What a slot's payload is, where the bytes do not lie in it. It lies in the line that says that the message is there; of a
// direct message a NamedPart follows, where the receiver can map its memory.
struct Announcement {
  std::uint64_t size = 0;
  std::uint64_t address = 0;  // direct: in the sender's address space; staged: in the stage
  std::uint64_t cell = 0;     // in_cell; direct and placed: of the ends; staged: from each part to the next
};

// Where a receiver wants a message to be put by its sender, if it can.
struct alignas(kLine) Offer {
  std::atomic<std::uint64_t> message;  // its number + 1
  std::uint64_t size;
  NamedPart memory;
  std::uint32_t past_caches;  // as the sink says
};

struct alignas(kLine) Slot {
  std::atomic<std::uint64_t> head;  // sequence << 32 | kind << 24 | size
  Signature signature;
  std::uint64_t taken;  // messages of the other direction that this side had taken: where both send, nobody has to ask
  std::array<std::byte, kInline> payload;
};
static_assert(sizeof(Slot) == 5 * kLine);

[[nodiscard]] constexpr std::uint64_t make_head(std::uint64_t message, Kind kind, std::size_t size) noexcept {
  return (message + 1) << 32 | static_cast<std::uint64_t>(kind) << 24 | size;
}
[[nodiscard]] constexpr bool is_message(std::uint64_t head, std::uint64_t message) noexcept {
  return head >> 32 == ((message + 1) & 0xffffffff);
}
[[nodiscard]] constexpr Kind kind_of(std::uint64_t head) noexcept { return static_cast<Kind>(head >> 24 & 0xff); }
[[nodiscard]] constexpr std::size_t size_of(std::uint64_t head) noexcept { return head & 0xffffff; }

// A receiver's last word about a direct message: message << 2 | Verdict.
enum class Verdict : std::uint64_t { none, done, stream };
[[nodiscard]] constexpr std::uint64_t make_answer(std::uint64_t message, Verdict verdict) noexcept {
  return message << 2 | static_cast<std::uint64_t>(verdict);
}

// The n-th cell of a queue, counted from 0.
[[nodiscard]] constexpr std::uint64_t make_entry(std::uint64_t n, std::uint32_t cell) noexcept { return (n + 1) << 16 | cell; }
[[nodiscard]] constexpr bool is_entry(std::uint64_t entry, std::uint64_t n) noexcept { return entry >> 16 == n + 1; }
[[nodiscard]] constexpr std::uint32_t cell_of(std::uint64_t entry) noexcept { return entry & 0xffff; }
// As long as there are cells, so that an entry is written again only when its cell has come back.
using CellQueue = std::array<std::atomic<std::uint64_t>, Cells::kMost>;

struct Lane {
  // As the receiver of the peer's lane: what has been taken.
  alignas(kLine) std::atomic<std::uint64_t> slots_taken;
  std::atomic<std::uint64_t> cells_taken;
  std::atomic<std::uint64_t> answer;
  // Seldom written.
  alignas(kLine) std::atomic<std::uint32_t> closed;
  std::atomic<std::uint32_t> reads_peer;  // process_vm_readv of the peer's memory works
  std::array<Slot, kSlots> slots;
  std::array<Offer, kSlots> offers;
  // Segments of the peer's that this side has taken over.
  alignas(kLine) std::atomic<std::uint64_t> segments_taken;
  alignas(kLine) std::atomic<std::uint32_t> writes_there;  // into the peer's memory: a message, or what it has read
  alignas(kLine) CellQueue pieces;                         // as the sender: where the pieces of streamed messages lie
  alignas(kLine) CellQueue returned;                       // cells that the peer gets back empty
};
static_assert(sizeof(Lane) % kLine == 0);

struct ArenaHeader {
  alignas(kLine) std::atomic<std::uint32_t> sleepers;  // threads of the owner that sleep, or are about to
  std::atomic<std::uint32_t> sleepers_fence;           // the owner fences everybody before it sleeps
};

// A page of its own, which all peers may write.
struct Doorbell {
  std::atomic<std::uint32_t> word;
};

}  // namespace tutti::shm
