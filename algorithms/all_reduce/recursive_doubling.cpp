// Recursive doubling all_reduce and, with a radix k, recursive multiplying. Ranks are folded to a product of factors of at most k
// (see patterns/folding.h): 2^n cores, for k = 2. In the round of a factor f, f cores whose numbers differ in one digit send each
// other all they have combined so far; all f then have the combination of a range f times as long. All put lower ranges on the
// left, so they get the same bits, and the operator need not commute.
//
//   ranks      0         1         2         3
//   round 0    a <-----> b         c <-----> d
//   round 1    ab <--------------> cd                 and 1 with 3
//              abcd      abcd      abcd      abcd
//
// Least rounds, each with the whole vector, f-1 times: for small ones. Every round combines into memory of its own, so that what
// arrives never waits for what is being sent.
// Source: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH", Int. J.
// High Performance Computing Applications 19 (2005), for k = 2, which is drawn; M. Ruefenacht, M. Bull, S. Booth, "Generalisation
// of recursive doubling for AllReduce: Now with simulation", Parallel Computing 69 (2017).
#include <bit>

#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/combine.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/folding.h"

namespace tutti::all_reduce_algorithms {
namespace {

// sum = what all members have, in their order; `me` is one of them and has `mine`.
void combine_with(Builder& b, const std::vector<Rank>& members, Slice mine, Slice sum) {
  std::vector<Slice> contributions;
  std::size_t own = 0;
  for (const Rank peer : members) {
    if (peer == b.me()) {
      own = contributions.size();
      contributions.push_back(mine);
    } else {
      contributions.push_back(b.scratch_like(b.output(0)));
      b.recv(peer, contributions.back());
    }
  }
  combine_in_rank_order(b, contributions, own, sum);
}

}  // namespace

Schedule recursive_doubling(Rank me, const Shape& shape, const Chunking& chunking) {
  const Folding folding(shape.ranks, static_cast<Rank>(chunking.radix));
  const Rank core = folding.core(me), folded = folding.partner(me);
  Builder b(Collective::all_reduce, "recursive_doubling", me, shape, 1);
  if (core == kNoRank) {
    b.send(b.input(0), folded);
    b.recv(folded, b.output(0));
    return std::move(b).finish();
  }
  Slice sum = b.input(0);
  if (folded != kNoRank) {
    sum = b.scratch_like(b.output(0));
    combine_with(b, {me, folded}, b.input(0), sum);
  }
  Rank stride = 1;
  for (const Rank factor : folding.factors()) {
    const Rank lowest = core - core / stride % factor * stride;
    std::vector<Rank> members;
    for (Rank digit = 0; digit < factor; ++digit) members.push_back(folding.rank(lowest + digit * stride));
    stride *= factor;
    const Slice next = stride == folding.cores() ? b.output(0) : b.scratch_like(b.output(0));
    for (const Rank peer : members)
      if (peer != me) b.send(sum, peer);
    combine_with(b, members, sum, next);
    sum = next;
  }
  b.copy(sum, b.output(0));  // a single rank has combined nothing
  if (folded != kNoRank) b.send(b.output(0), folded);
  return std::move(b).finish();
}

// Where folding makes nothing but nodes of the tree: of 2^n ranks nothing is folded; of 6 it makes 0-1, 2-3, 4 and 5, which meet
// as they should, but of 5 it makes 0-1, 2, 3 and 4. In binary, ones followed by zeros.
bool recursive_doubling_is_canonical(const Shape& shape, const Chunking& chunking) {
  const auto ranks = static_cast<std::uint32_t>(shape.ranks);
  const bool whole = std::has_single_bit(ranks);
  const bool ones_then_zeros = std::has_single_bit((ranks >> std::countr_zero(ranks)) + 1);
  return whole ? std::has_single_bit(chunking.radix) : chunking.radix == 2 && ones_then_zeros;
}

Cost recursive_doubling_cost(const Shape& shape, const Chunking& chunking) {
  const Folding folding(shape.ranks, static_cast<Rank>(chunking.radix));
  const std::uint64_t fold = folding.extra() > 0 ? 1 : 0, unfold = folding.chain_ends_with_pair() ? 1 : 0;
  const std::uint64_t rounds = fold + folding.factors().size() + unfold;
  const std::uint64_t messages = fold + folding.messages();
  const auto tell = [&](Carried& network) {
    for (Rank core = 0; core < folding.extra(); ++core) network.exchange(folding.rank(core), folding.rank(core) + 1, 1);
    for_each_pair(folding, [&](Rank a, Rank b, Rank) { network.message(folding.rank(a), folding.rank(b), 1); });
  };
  return flat_cost(1, {.rounds = rounds,
                       .path = rounds,
                       .sent = messages,
                       .reduced = messages,
                       .carried = carried(shape, tell),
                       .posted = messages});
}

}  // namespace tutti::all_reduce_algorithms
