// Circulant all_reduce. The vector has one block per rank. A circulant reduce_scatter leaves block r, combined, at rank r; a
// circulant all_gather, which goes the same way backwards, brings all blocks to everybody.
//
//   ranks      0            1            2            3            4
//   skip 3     de -> 3      ea -> 4      ab -> 0      bc -> 1      cd -> 2
//   skip 2     c -> 2       d -> 3       e -> 4       a -> 0       b -> 1
//   skip 1     b02 -> 1     c13 -> 2     d24 -> 3     e30 -> 4     a41 -> 0       then rank 0 has all of a, 1 of b, ...
//   skip 1     A -> 4       B -> 0       C -> 1       D -> 2       E -> 3
//   skip 2     A -> 3       B -> 4       C -> 0       D -> 1       E -> 2
//   skip 3     AB -> 2      BC -> 3      CD -> 4      DE -> 0      EA -> 1
//
// The bytes of a ring, 2(p-1)/p of the vector, in 2 ceil(log2 p) rounds: what halving_doubling does for a power of two of ranks,
// for any number. Half of the vector travels farthest, as there.
// Source: J. L. Träff, "Optimal, Non-pipelined Reduce-scatter and Allreduce Algorithms" (2024), arXiv 2410.14234.
#include "algorithms/patterns/circulant.h"

#include "algorithms/all_gather/all_gather.h"
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::all_reduce_algorithms {

Schedule circulant(Rank me, const Shape& shape, const Chunking&) {
  const auto p = static_cast<std::uint32_t>(shape.ranks);
  const Shape inner{.ranks = shape.ranks};
  Builder b(Collective::all_reduce, "circulant", me, shape, p);
  const Slice own = b.output(static_cast<std::uint32_t>(me));
  embed(b, reduce_scatter_algorithms::circulant(me, inner, {}), same_rank, {b.input(0, p)}, {own});
  embed(b, all_gather_algorithms::circulant(me, inner, {}), same_rank, {own}, {b.output(0, p)});
  return std::move(b).finish();
}

Cost circulant_cost(const Shape& shape, const Chunking&) {
  const auto chain = circulant::longest_chain(shape.ranks);
  const auto p = static_cast<std::uint64_t>(shape.ranks);
  return flat_cost(static_cast<std::uint32_t>(p),
                   {.rounds = 2 * chain.rounds,
                    .path = 2 * chain.path,
                    .sent = 2 * (p - 1),
                    .reduced = p - 1,
                    .carried = carried(shape, [&](Carried& n) { circulant::tell(n, shape.ranks, 2); }),
                    .posted = circulant::posted_both_ways(shape.ranks)});
}

}  // namespace tutti::all_reduce_algorithms
