// Circulant reduce_scatter, for any number of ranks in ceil(log2 p) rounds: the circulant all_gather run backwards. An arc is a
// run of blocks on the circle of ranks. Rank i starts with its input, the arc of all blocks from its own on. In the round with
// skip s (see patterns/circulant.h) it keeps the first s blocks of its arc, sends the others to i+s, and adds what comes from i-s
// to the front of what it keeps. At last only its own block is left.
//
//   ranks      0            1            2            3            4
//   skip 3     de -> 3      ea -> 4      ab -> 0      bc -> 1      cd -> 2        keeping  abc  bcd  cde  dea  eab
//   skip 2     c -> 2       d -> 3       e -> 4       a -> 0       b -> 1         keeping  ab   bc   cd   de   ea
//   skip 1     b02 -> 1     c13 -> 2     d24 -> 3     e30 -> 4     a41 -> 0       (b02: block b, combined over ranks 0 and 2)
//
// Every rank sends and combines p-1 blocks: no algorithm does with less. Arcs are kept in scratch in their own order, where they
// are one slice; only in the input does one that wraps lie in two, which then travel on two channels, at the same time.
// Source: J. L. Träff, "Optimal, Non-pipelined Reduce-scatter and Allreduce Algorithms" (2024), arXiv 2410.14234.
#include "algorithms/patterns/circulant.h"

#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"
#include "algorithms/reduce_scatter/arcs.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::reduce_scatter_algorithms {

Schedule circulant(Rank me, const Shape& shape, const Chunking&) {
  const Rank p = shape.ranks;
  const int rounds = circulant::rounds(p);
  Builder b(Collective::reduce_scatter, "circulant", me, shape, 1);
  if (rounds == 0) {
    b.copy(b.input(0), b.output(0));
    return std::move(b).finish();
  }
  const auto [first_skip, first_size] = circulant::round(p, 0);
  const Rank to = ring::shift(me, first_skip, p), from = ring::shift(me, -first_skip, p);
  const Arc kept{me, first_skip};
  const Slice partial = rounds > 1 ? room_for_arc(b, b.input(0, static_cast<std::uint32_t>(p)), kept) : b.output(0);
  split_input(b, to, {to, first_size}, from, {me, first_size}, kept, partial);
  for (int number = 1; number < rounds; ++number) {
    const auto [skip, size] = circulant::round(p, number);
    const Slice front = part(partial, 0, size), sum = number + 1 < rounds ? front : b.output(0);
    b.send(part(partial, skip, size), ring::shift(me, skip, p));
    combine(b, ring::shift(me, -skip, p), front, sum, 0);
  }
  return std::move(b).finish();
}

Cost circulant_cost(const Shape& shape, const Chunking&) {
  const auto chain = circulant::longest_chain(shape.ranks);
  const auto others = static_cast<std::uint64_t>(shape.ranks - 1);
  const auto tell = [&](Carried& network) { circulant::tell(network, shape.ranks, 1); };
  return flat_cost(1, {.rounds = chain.rounds,
                       .path = chain.path,
                       .sent = others,
                       .reduced = others,
                       .carried = carried(shape, tell),
                       .posted = circulant::posted_scattering(shape.ranks)});
}

}  // namespace tutti::reduce_scatter_algorithms
