// Cutting a call into pieces: a call of any size is one plan run again and again on parts of its blocks, so that what lies
// between ranks on the way is bounded. A piece takes the same part of every block: of the j-th piece, all addresses of input and
// output are those of the first one plus j pieces of a block.
//
// All ranks cut alike: a cut depends on what all ranks know of a call alone.
#pragma once

#include <functional>

#include "exec/cpu/plan.h"

namespace tutti::gpu {

inline constexpr std::uint64_t kPieceBytes = std::uint64_t{4} << 20;

// Of blocks of `count` elements, into pieces of `per_piece` elements of each block; the last one may have fewer.
struct Cut {
  std::uint64_t count = 0, per_piece = 0, pieces = 0;
  // Elements of the last piece.
  [[nodiscard]] std::uint64_t rest() const noexcept { return pieces == 0 ? 0 : count - (pieces - 1) * per_piece; }
  friend bool operator==(const Cut&, const Cut&) = default;
};

// Pieces of at most `piece_bytes`, all blocks together, but of at least 64 bytes a block, and in multiples of that. No piece
// where there is nothing to do.
[[nodiscard]] Cut cut(Collective collective, std::uint64_t count, Rank ranks, std::size_t element_bytes,
                      std::uint64_t piece_bytes);

// What all ranks know of a call.
struct CollectiveCall {
  Collective collective = Collective::all_reduce;
  Rank ranks = 1;
  std::uint64_t count = 0;  // elements of a block
  DataType type = DataType::u8;
  ReduceOp op;
  Rank root = 0;
  bool meets_at_once = false;              // Algorithm::meets_at_once
  std::function<Schedule(Rank)> build;     // any rank's, out of place, fused
  std::uint64_t most_bytes = kPieceBytes;  // of a piece
  std::uint32_t signature = 0;             // of all that ranks must agree on

  [[nodiscard]] std::size_t element_bytes() const noexcept {
    return reduces(collective) ? tutti::element_bytes(type, op) : size_of(type);
  }
};

// The plan of a piece with so many elements of each block.
[[nodiscard]] Result<Plan> plan_of_piece(const CollectiveCall& call, const Schedule& schedule, const Cut& cut,
                                         std::uint64_t elements);

// Messages of a piece lie one after the other in an inbox, each at a multiple of this.
inline constexpr std::uint64_t kMessageUnit = 256;
[[nodiscard]] constexpr std::uint64_t room_of(std::uint64_t message_bytes) noexcept {
  return (message_bytes + kMessageUnit - 1) / kMessageUnit * kMessageUnit;
}
// Inboxes have few sizes, so that many plans share them: half of the one for so many bytes in a piece.
inline constexpr std::uint64_t kSmallestInbox = std::uint64_t{64} << 10;
[[nodiscard]] constexpr std::uint64_t inbox_bytes(std::uint64_t bytes) noexcept {
  std::uint64_t size = kSmallestInbox;
  while (size < bytes) size *= 4;
  return size;
}

// Inboxes of one call on one rank take at most so much, if pieces can be small enough for that.
inline constexpr std::uint64_t kMostInboxBytes = std::uint64_t{28} << 20;

// The call's cut: into the largest pieces, halved as often as needed, of which every rank's inboxes are small enough.
[[nodiscard]] Result<Cut> cut(const CollectiveCall& call);

}  // namespace tutti::gpu
