// Direct two-shot all_reduce. The vector has one block per rank, each cut into pieces. First shot: every rank sends each
// block straight to its owner, who combines it in rank order in one pass over memory (reduce_scatter::direct). Second shot:
// every owner sends its block straight to all (all_gather::direct). A block is combined at one place only, so all ranks get the
// same bits, and in rank order, so the operator need not commute.
//
//   ranks      0             1             2             3
//   shot 1     1b 2c 3d      2c 3d 0a      3d 0a 1b      0a 1b 2c       (to whom, which block)
//   owns       A             B             C             D
//   shot 2     A -> 1 2 3    B -> 2 3 0    C -> 3 0 1    D -> 0 1 2
//
// Two rounds, and no more bytes than a ring: for ranks that all reach each other. Each shot has a channel of its own so that a
// piece that is done need not wait for the first shot of the pieces behind it.
// Source: the two-shot all-pairs kernel described in A. Shah et al., "MSCCL++: Rethinking GPU Communication Abstractions
// for Cutting-edge AI Applications" (2025).
#include "algorithms/all_gather/all_gather.h"
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::all_reduce_algorithms {

Schedule two_shot(Rank me, const Shape& shape, const Chunking& chunking) {
  const auto p = static_cast<std::uint32_t>(shape.ranks), pieces = chunking.pieces;
  Builder b(Collective::all_reduce, "two_shot", me, shape, p * pieces);
  const auto chunk = [&](std::uint32_t owner, std::uint32_t piece) { return b.output(owner * pieces + piece); };
  const auto own = static_cast<std::uint32_t>(me);

  const Shape scatter{.ranks = shape.ranks, .in_place = shape.in_place}, gather{.ranks = shape.ranks};
  embed(b, reduce_scatter_algorithms::direct(me, scatter, chunking), same_rank, {b.input(0, p * pieces)},
        {b.output(own * pieces, pieces)}, 0);
  const Schedule gather_piece = all_gather_algorithms::direct(me, gather, {});
  for (std::uint32_t piece = 0; piece < pieces; ++piece) {
    Place everywhere;
    for (std::uint32_t owner = 0; owner < p; ++owner) everywhere.push_back(chunk(owner, piece));
    embed(b, gather_piece, same_rank, {chunk(own, piece)}, everywhere, 1);
  }
  return std::move(b).finish();
}

Cost two_shot_cost(const Shape& shape, const Chunking& chunking) {
  const auto p = static_cast<std::uint64_t>(shape.ranks), pieces = std::uint64_t{chunking.pieces};
  const std::uint64_t rounds = p > 1 ? pieces + 1 : 0;
  const std::uint64_t combined = (p - 1) * pieces, owned = p > 1 ? pieces : 0;
  return flat_cost(static_cast<std::uint32_t>(p * pieces),
                   {.rounds = rounds,
                    .path = rounds,
                    .sent = 2 * combined,
                    .reduced = combined,
                    .carried = carried(shape, [&](Carried& n) { n.all_pairs(2 * pieces); }),
                    .published = combined + owned,
                    .taken = 2 * combined,
                    .posted = 2 * combined});
}

}  // namespace tutti::all_reduce_algorithms
