// Circulant reduce: the circulant broadcast run backwards. n pieces of the contributions come together at the root, from any
// number of ranks, in n-1+ceil(log2 p) rounds, as few as there can be when each rank sends and receives one piece at a time.
// Where a rank receives a piece in the broadcast, it here sends what it has combined of it; where it sends one, it receives what
// the other has combined (patterns/piece_schedule.h). Every piece so goes up a tree of its own, and all ranks are busy in all of
// them.
//
//   5 ranks, pieces a b c      ...
//   root 0                     skip 3      3 -- c --> 0      4 -- a --> 1
//                              skip 2      2 -- b --> 0      3 -- a --> 1
//                              skip 1      1 -- a --> 0
//
// Source: J. L. Träff, "Optimal Broadcast Schedules in Logarithmic Time with Applications to Broadcast, All-Broadcast, Reduction
// and All-Reduction" (2024), arXiv 2407.18004.
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/piece_schedule.h"
#include "algorithms/reduce/reduce.h"

namespace tutti::reduce_algorithms {

Schedule circulant(Rank me, const Shape& shape, const Chunking& chunking) {
  const Rank p = shape.ranks;
  const bool at_root = me == shape.root;
  Builder b(Collective::reduce, "circulant", me, shape, chunking.pieces);
  const auto rank_of = [&](Rank from_root) { return ring::shift(shape.root, from_root, p); };
  std::vector<Slice> sums;  // of each piece; the input until something is combined with it
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) sums.push_back(b.input(piece));
  circulant::for_each_round(ring::shift(me, -shape.root, p), p, chunking.pieces, true, [&](const circulant::PieceRound& round) {
    if (round.received != circulant::kNoPiece) b.send(sums[static_cast<std::size_t>(round.received)], rank_of(round.from));
    if (round.sent == circulant::kNoPiece) return;
    const auto piece = static_cast<std::uint32_t>(round.sent);
    const Slice arrival = b.scratch_like(b.input(piece));
    b.recv(rank_of(round.to), arrival);
    if (Slice& sum = sums[piece]; sum == b.input(piece)) {
      sum = at_root ? b.output(piece) : b.scratch_like(b.input(piece));
      b.copy(b.input(piece), sum);
    }
    b.reduce(arrival, sums[piece]);
  });
  if (p == 1) b.copy(b.input(0, chunking.pieces), b.output(0, chunking.pieces));
  return std::move(b).finish();
}

Cost circulant_cost(const Shape& shape, const Chunking& chunking) {
  if (shape.ranks == 1) return flat_cost(chunking.pieces, {});
  const std::uint64_t chain = circulant::longest_chain(shape.ranks, chunking.pieces);
  const std::uint64_t taken = chunking.pieces - 1 + static_cast<std::uint64_t>(circulant::rounds(shape.ranks));  // by the root
  return flat_cost(chunking.pieces,
                   {.rounds = chain, .path = chain, .sent = chunking.pieces, .reduced = taken, .taken = taken, .posted = taken});
}

}  // namespace tutti::reduce_algorithms
