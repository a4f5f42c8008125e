// Bine butterfly all_reduce, for any even number of ranks. The vector has one block per rank. A Bine reduce_scatter, far to near,
// leaves block r, combined, at rank r; a Bine all_gather, which goes the same way backwards, brings all blocks to everybody.
//
//   ranks      0          1          2          3          4          5          6          7
//   step 2     cdef -> 3  efgh -> 6  efgh -> 5  ghab -> 0  ghab -> 7  abcd -> 2  abcd -> 1  cdef -> 4
//   step 1     gh -> 7    cd -> 2    ab -> 1    ef -> 4    cd -> 3    gh -> 6    ef -> 5    ab -> 0
//   step 0     b -> 1     a -> 0     d -> 3     c -> 2     f -> 5     e -> 4     h -> 7     g -> 6
//   step 0     A -> 1     B -> 0     C -> 3     D -> 2     E -> 5     F -> 4     G -> 7     H -> 6          and back
//
// Half of the vector travels farthest, as in halving_doubling, but a third less far. `swing` has half of it travel to the
// neighbour. (For small vectors Bine trees exchange all of it in each round: `swing_latency`.)
//
// Source: D. De Sensi et al., "Bine Trees: Enhancing Collective Operations by Optimizing Communication Locality", SC 2025.
#include "algorithms/all_gather/all_gather.h"
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/negabinary.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::all_reduce_algorithms {

Schedule bine(Rank me, const Shape& shape, const Chunking&) {
  const auto p = static_cast<std::uint32_t>(shape.ranks);
  const Shape inner{.ranks = shape.ranks};
  Builder b(Collective::all_reduce, "bine", me, shape, p);
  const Slice own = b.output(static_cast<std::uint32_t>(me));
  embed(b, reduce_scatter_algorithms::bine(me, inner, {}), same_rank, {b.input(0, p)}, {own});
  embed(b, all_gather_algorithms::bine(me, inner, {}), same_rank, {own}, {b.output(0, p)});
  return std::move(b).finish();
}

Cost bine_cost(const Shape& shape, const Chunking&) {
  const auto chain = negabinary::longest_chain(shape.ranks);
  const auto p = static_cast<std::uint64_t>(shape.ranks);
  return flat_cost(static_cast<std::uint32_t>(p),
                   {.rounds = 2 * chain.rounds,
                    .path = 2 * chain.path,
                    .sent = 2 * (p - 1),
                    .reduced = p - 1,
                    .carried = carried(shape, [&](Carried& n) { negabinary::tell(n, shape.ranks, 2); }),
                    .posted = negabinary::posted_both_ways(shape.ranks)});
}

}  // namespace tutti::all_reduce_algorithms
