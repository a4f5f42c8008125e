// Circulant broadcast: n pieces reach all of any number of ranks in n-1+ceil(log2 p) rounds, as few as there can be when each
// rank sends and receives one piece at a time. In round i every rank sends a piece to the one skip(i mod q) further on, and the
// pieces are chosen so that nobody gets one twice (patterns/piece_schedule.h).
//
//   5 ranks, pieces a b c      skip 1      0 -- a --> 1
//   root 0                     skip 2      0 -- b --> 2      1 -- a --> 3
//                              skip 3      0 -- c --> 3      1 -- a --> 4                          and so on, with all ranks busy
//
// A chain needs p-2 rounds more than pieces, a pipelined tree sends each piece twice from every inner node: here it is neither.
// Source: J. L. Träff, "Optimal Broadcast Schedules in Logarithmic Time with Applications to Broadcast, All-Broadcast, Reduction
// and All-Reduction" (2024), arXiv 2407.18004.
#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/piece_schedule.h"

namespace tutti::broadcast_algorithms {

Schedule circulant(Rank me, const Shape& shape, const Chunking& chunking) {
  const Rank p = shape.ranks;
  const bool at_root = me == shape.root;
  Builder b(Collective::broadcast, "circulant", me, shape, chunking.pieces);
  const auto rank_of = [&](Rank from_root) { return ring::shift(shape.root, from_root, p); };
  const auto place = [&](std::int64_t piece) {
    const auto chunk = static_cast<std::uint32_t>(piece);
    return at_root ? b.input(chunk) : b.output(chunk);
  };
  circulant::for_each_round(ring::shift(me, -shape.root, p), p, chunking.pieces, false, [&](const circulant::PieceRound& round) {
    if (round.sent != circulant::kNoPiece) b.send(place(round.sent), rank_of(round.to));
    if (round.received != circulant::kNoPiece) b.recv(rank_of(round.from), place(round.received));
  });
  if (at_root) b.copy(b.input(0, chunking.pieces), b.output(0, chunking.pieces));
  return std::move(b).finish();
}

Cost circulant_cost(const Shape& shape, const Chunking& chunking) {
  if (shape.ranks == 1) return flat_cost(chunking.pieces, {});
  const std::uint64_t chain = circulant::longest_chain(shape.ranks, chunking.pieces);
  const std::uint64_t sent = chunking.pieces - 1 + static_cast<std::uint64_t>(circulant::rounds(shape.ranks));  // by the root
  return flat_cost(chunking.pieces, {.rounds = chain, .path = chain, .sent = sent, .posted = sent});
}

}  // namespace tutti::broadcast_algorithms
