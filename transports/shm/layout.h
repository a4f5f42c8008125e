// What lies in shared memory. Every line has one writer, and every counter only grows: nothing is ever reset, so that there
// is nothing to agree about.
//
// A rank's arena is written by that rank only (peers map it for reading). Each connection has one lane in the arena of each
// side: what this side sends, and what it has taken of what the other side sent.
//
//   arena   | ArenaHeader | LaneHeader: slots, near ring | far ring | LaneHeader: slots, near ring | far ring | ...
//
// A message takes the next slot, whose head says by its sequence number that it is there. Up to kInline bytes lie in the
// slot itself, up to kNearBytes in the near ring, more in the far ring, from the next multiple of 64 on. No position is ever
// sent: both sides derive it from the sizes, and a size is believed only when it is what the receiver expects.
//
// Slots and two rings, because of what caches do. The lines behind a slot's first arrive with it, by the caches' own foresight,
// while what lies elsewhere takes another trip when the slot has been read (on a Zen 4, 32 bytes take 0.29 us instead of 0.40;
// from 512 bytes on it no longer matters). The near ring stays in the first cache of both sides. The far one is large: from some
// kilobytes on a line that the receiver still has in its second cache costs the sender more to write than one that has left it
// (on a Zen 4, 64 KB through a ring of twice that cache take 3.7 us, through a smaller one 9.7; 2 KB take 0.2 us when they lie
// where the last but one did, 0.4 in a large ring).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "tutti/transport.h"

namespace tutti::shm {

inline constexpr std::size_t kLine = 64;
inline constexpr std::size_t kPage = 4096;
inline constexpr std::uint32_t kSlots = 16;
inline constexpr std::size_t kInline = 24 + 4 * kLine;
inline constexpr std::size_t kNearRing = 8192;
inline constexpr std::size_t kNearBytes = kNearRing / 2;  // this message and the last one, which may not have been taken yet

enum class Kind : std::uint8_t {
  in_slot = 1,  // size in the head, bytes in the slot
  near,         // size in the head, all bytes in the near ring already
  far,          // size in the head, all bytes in the far ring already
  streamed,     // Announcement in the slot; bytes come through the far ring, LaneHeader::published says how far
  direct,       // Announcement in the slot; the receiver reads the sender's memory, or answers "stream it"
};

struct Announcement {
  std::uint64_t size = 0;
  std::uint64_t address = 0;  // direct: in the sender's address space
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

struct LaneHeader {
  // As the sender: bytes of the far ring that are filled, since ever.
  alignas(kLine) std::atomic<std::uint64_t> published;
  // As the receiver of the peer's lane: what has been taken, bytes in steps.
  alignas(kLine) std::atomic<std::uint64_t> slots_taken;
  std::atomic<std::uint64_t> bytes_taken;
  std::atomic<std::uint64_t> answer;
  // Seldom written.
  alignas(kLine) std::atomic<std::uint32_t> closed;
  std::atomic<std::uint32_t> reads_peer;  // process_vm_readv of the peer's memory works
  std::array<Slot, kSlots> slots;
  alignas(kLine) std::array<std::byte, kNearRing> near_ring;
};
inline constexpr std::size_t kLaneHeader = sizeof(LaneHeader);  // the far ring begins here
static_assert(kLaneHeader % kLine == 0);

struct ArenaHeader {
  alignas(kLine) std::atomic<std::uint32_t> sleepers;  // threads of the owner that sleep, or are about to
  std::atomic<std::uint32_t> sleepers_fence;           // the owner fences everybody before it sleeps
};

// A page of its own, the only one that peers may write.
struct Doorbell {
  std::atomic<std::uint32_t> word;
};

[[nodiscard]] constexpr std::size_t whole_lines(std::size_t bytes) noexcept { return (bytes + kLine - 1) / kLine * kLine; }

// Where the next message lies in the near ring: in one piece, so that it begins anew where the end is too close.
[[nodiscard]] constexpr std::uint64_t near_begin(std::uint64_t position, std::size_t size) noexcept {
  const std::uint64_t left = kNearRing - position % kNearRing;
  return whole_lines(size) <= left ? position : position + left;
}

}  // namespace tutti::shm
