#include "runtime/host_pieces.h"

#include <algorithm>

namespace tutti {
namespace {

constexpr std::uint64_t kAlign = 256;

std::uint64_t aligned(std::uint64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

// Elements of a block in a full piece.
std::uint64_t elements_of_piece(const Request& r, Rank ranks) {
  const std::uint64_t blocks = r.many_in || r.many_out ? static_cast<std::uint64_t>(ranks) : 1;
  const std::uint64_t bytes = r.collective == Collective::send_recv ? kHostMessageBytes : kHostPieceBytes;
  return std::max<std::uint64_t>(1, bytes / (r.element_size() * blocks));
}

std::uint64_t pieces_of(std::uint64_t count, std::uint64_t of_piece) { return (count + of_piece - 1) / of_piece; }

// What a piece has of `count` elements, from element `begin` on.
std::uint64_t part(std::uint64_t count, std::uint64_t begin, std::uint64_t of_piece) {
  return count > begin ? std::min(of_piece, count - begin) : 0;
}

struct Side {
  const Blocks& blocks;
  std::uint64_t count, begin, length;  // of a block, where all are equal
  std::uint64_t size;                  // of an element
  std::uint64_t number;                // of blocks
};

// One after the other in staging, unless the call says itself where they are.
std::vector<HostPiece::Copy> copies(const Side& s, std::uint64_t staged) {
  std::vector<HostPiece::Copy> made;
  const auto add = [&](std::uint64_t user, std::uint64_t to, std::uint64_t count) {
    if (count > 0) made.push_back({user * s.size, staged + to * s.size, count * s.size});
  };
  if (s.blocks.counts.empty()) {
    if (s.length == s.count) {
      add(0, 0, s.count * s.number);
    } else {
      for (std::uint64_t b = 0; b < s.number; ++b) add(b * s.count + s.begin, b * s.length, s.length);
    }
    return made;
  }
  std::uint64_t next = 0;
  for (std::size_t b = 0; b < s.blocks.counts.size(); ++b) {
    const std::uint64_t at = s.blocks.displacements.empty() ? next : s.blocks.displacements[b];
    add(at, at, s.blocks.counts[b]);
    next += s.blocks.counts[b];
  }
  return made;
}

// A message from nobody or to nobody is none, but for the first one.
void shorten(Call& call, const Request& r, std::uint64_t index, std::uint64_t begin, std::uint64_t of_piece) {
  call.count = part(r.count, begin, of_piece);
  if (call.collective != Collective::send_recv) return;
  call.receive_count = part(r.receive_count, begin, of_piece);
  if (index == 0) return;
  if (call.count == 0) call.destination = kNoRank;
  if (call.receive_count == 0) call.source = kNoRank;
}

}  // namespace

std::uint64_t host_pieces(const Request& r, Rank ranks) {
  if (!r.equal_blocks()) return 1;
  return std::max<std::uint64_t>(1, pieces_of(std::max(r.count, r.receive_count), elements_of_piece(r, ranks)));
}

HostPiece host_piece(const Call& call, const Request& r, std::uint64_t index, std::uint64_t pieces, Rank me, Rank ranks) {
  HostPiece piece{.call = call};
  const bool p2p = r.collective == Collective::send_recv;
  const std::uint64_t of_piece = pieces == 1 ? std::max(r.count, r.receive_count) : elements_of_piece(r, ranks);
  const std::uint64_t begin = index * of_piece;
  if (r.equal_blocks()) shorten(piece.call, r, index, begin, of_piece);
  const Footprint f = check_shape(piece.call, me, ranks).value_or_throw().footprint;
  piece.has_input = f.input_bytes > 0;
  piece.has_output = f.output_bytes > 0;
  // In place, the smaller one is a part of the larger one.
  if (r.in_place) {
    piece.input = static_cast<std::uint64_t>(std::max<std::ptrdiff_t>(f.in_place_offset, 0));
    piece.output = static_cast<std::uint64_t>(std::max<std::ptrdiff_t>(-f.in_place_offset, 0));
    piece.staging_bytes = aligned(std::max(f.input_bytes, f.output_bytes));
  } else {
    piece.output = aligned(f.input_bytes);
    piece.staging_bytes = piece.output + aligned(f.output_bytes);
  }
  const auto all = static_cast<std::uint64_t>(ranks);
  // Of a side with a block for each rank, or of its only one, whose count the other side may say.
  const auto side = [&](const Blocks& own, const Blocks& other, bool many, std::uint64_t whole, std::uint64_t length) {
    if (!many && !other.counts.empty()) whole = length = other.counts[static_cast<std::size_t>(me)];
    return Side{own, whole, begin, r.equal_blocks() ? length : whole, r.element_size(), many ? all : 1};
  };
  if (piece.has_input)
    piece.before = copies(side(r.input_blocks, r.output_blocks, r.many_in, r.count, piece.call.count), piece.input);
  if (piece.has_output)
    piece.after = copies(side(r.output_blocks, r.input_blocks, r.many_out, p2p ? r.receive_count : r.count,
                              p2p ? piece.call.receive_count : piece.call.count),
                         piece.output);
  return piece;
}

}  // namespace tutti
