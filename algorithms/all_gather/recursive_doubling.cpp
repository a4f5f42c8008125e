// Recursive doubling all_gather, for any number of ranks and, with a radix k, recursive multiplying. A group is a range of
// neighbouring ranks, all of which know all its blocks. Up to k groups side by side merge when each rank sends all it knows to
// its partner in each of the others, so groups grow k times in each of ceil(log_k p) rounds (see patterns/doubling.h for groups
// of unequal size). Ranges of ranks are ranges of blocks: every message is one slice.
//
//   ranks      0         1         2         3
//   round 0    a <-----> b         c <-----> d        groups of 1 become groups of 2
//   round 1    ab <--------------> cd                 groups of 2 become groups of 4
//                        ab <--------------> cd
//
// Source: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH", Int. J.
// High Performance Computing Applications 19 (2005); the uneven parts are in the manner of E. Chan et al. (2007), the radix is in
// that of M. Ruefenacht, M. Bull, S. Booth, Parallel Computing 69 (2017).
#include "algorithms/all_gather/all_gather.h"
#include "algorithms/patterns/doubling.h"
#include "algorithms/patterns/flat_cost.h"

namespace tutti::all_gather_algorithms {

Schedule recursive_doubling(Rank me, const Shape& shape, const Chunking& chunking) {
  Builder b(Collective::all_gather, "recursive_doubling", me, shape, 1);
  const auto blocks = [&](doubling::Range range) {
    return b.output(static_cast<std::uint32_t>(range.first), static_cast<std::uint32_t>(range.size));
  };
  b.copy(b.input(0), b.output(static_cast<std::uint32_t>(me)));
  doubling::for_each_exchange(me, {0, shape.ranks}, static_cast<Rank>(chunking.radix), [&](const doubling::Exchange& x) {
    if (x.paired) b.send(blocks(x.mine), x.partner);
    b.recv(x.partner, blocks(x.other));
    if (x.unpaired != kNoRank) b.send(blocks(x.mine), x.unpaired);
  });
  return std::move(b).finish();
}

Cost recursive_doubling_cost(const Shape& shape, const Chunking& chunking) {
  const auto radix = static_cast<Rank>(chunking.radix);
  return flat_cost(1, {.rounds = doubling::rounds(shape.ranks, radix),
                       .path = doubling::heaviest_path(shape.ranks, radix),
                       .sent = doubling::sent_by_busiest(shape.ranks, radix),
                       .carried = carried(shape, [&](Carried& n) { doubling::tell(n, shape.ranks, radix); }),
                       .posted = doubling::posted(shape.ranks, radix)});
}

}  // namespace tutti::all_gather_algorithms
