// Direct two-shot reduce. The vector has one chunk per rank. First shot: every rank sends each chunk straight to its owner, who
// combines it in rank order (reduce_scatter::direct). Second shot: every owner sends its chunk to the root (gather::direct).
//
//   ranks      0             1             2             3
//   shot 1     1b 2c 3d      2c 3d 0a      3d 0a 1b      0a 1b 2c       (to whom, which chunk)
//   owns       A             B             C             D
//   shot 2                   B -> 0        C -> 0        D -> 0         root 0
//
// Two rounds, and all ranks share the work of combining. Each shot has a channel of its own.
// Source: R. Rabenseifner, "Optimization of Collective Reduction Operations", ICCS 2004, with direct halves.
#include "algorithms/gather/gather.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/reduce/reduce.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::reduce_algorithms {

Schedule two_shot(Rank me, const Shape& shape, const Chunking&) {
  const auto chunks = static_cast<std::uint32_t>(shape.ranks), own_chunk = static_cast<std::uint32_t>(me);
  const bool at_root = me == shape.root;
  const Shape scatter{.ranks = shape.ranks, .in_place = shape.in_place && at_root};
  const Shape gather{.ranks = shape.ranks, .root = shape.root, .in_place = at_root};
  Builder b(Collective::reduce, "two_shot", me, shape, chunks);
  const Slice own = at_root ? b.output(own_chunk) : b.scratch_like(b.input(own_chunk));
  embed(b, reduce_scatter_algorithms::direct(me, scatter, {}), same_rank, {b.input(0, chunks)}, {own}, 0);
  embed(b, gather_algorithms::direct(me, gather, {}), same_rank, {own}, {b.output(0, chunks)}, 1);
  return std::move(b).finish();
}

Cost two_shot_cost(const Shape& shape, const Chunking&) {
  const auto others = static_cast<std::uint64_t>(shape.ranks - 1);
  const std::uint64_t rounds = others > 0 ? 2 : 0;
  return flat_cost(static_cast<std::uint32_t>(shape.ranks),
                   {.rounds = rounds,
                    .path = rounds,
                    .sent = others > 0 ? others + 1 : 0,
                    .reduced = others,
                    .carried = carried(shape, [&](Carried& n) { n.all_pairs(1), n.star(shape.root, 1); }),
                    .published = others > 0 ? others + 1 : 0,
                    .taken = 2 * others,
                    .posted = 2 * others});
}

}  // namespace tutti::reduce_algorithms
