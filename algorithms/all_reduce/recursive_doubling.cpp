// Recursive doubling all_reduce. Ranks are folded to 2^k cores (see patterns/folding.h), which stand for contiguous ranges of
// ranks. In round k a core and the one whose number differs in bit k exchange all they have combined so far; both then have the
// combination of a range twice as long. Both put the lower range on the left, so they get the same bits, and the
// operator need not commute.
//
//   ranks      0         1         2         3
//   round 0    a <-----> b         c <-----> d
//   round 1    ab <--------------> cd                 and 1 with 3
//              abcd      abcd      abcd      abcd
//
// Least rounds, each with the whole vector: for small ones. Every round combines into memory of its own, so that what arrives
// never waits for what is being sent.
// Source: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH", Int. J.
// High Performance Computing Applications 19 (2005).
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/folding.h"
#include "algorithms/patterns/logarithm.h"

namespace tutti::all_reduce_algorithms {
namespace {

// sum = mine (+) what arrives from `peer`, in rank order.
void combine_arrival(Builder& b, Rank peer, Slice mine, Slice sum) {
  const Slice arrival = b.scratch_like(b.output(0));
  b.recv(peer, arrival);
  b.copy(mine, sum);
  peer < b.me() ? b.reduce_left(arrival, sum) : b.reduce(arrival, sum);
}

}  // namespace

Schedule recursive_doubling(Rank me, const Shape& shape, const Chunking&) {
  const Folding folding(shape.ranks);
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
    combine_arrival(b, folded, b.input(0), sum);
  }
  for (Rank bit = 1; bit < folding.cores(); bit *= 2) {
    const Rank peer = folding.rank(core ^ bit);
    const bool last = bit * 2 == folding.cores();
    const Slice next = last ? b.output(0) : b.scratch_like(b.output(0));
    b.send(sum, peer);
    combine_arrival(b, peer, sum, next);
    sum = next;
  }
  b.copy(sum, b.output(0));  // a single rank has combined nothing
  if (folded != kNoRank) b.send(b.output(0), folded);
  return std::move(b).finish();
}

Cost recursive_doubling_cost(const Shape& shape, const Chunking&) {
  const Folding folding(shape.ranks);
  const auto exchanges = static_cast<std::uint64_t>(floor_log2(shape.ranks));
  const std::uint64_t fold = folding.extra() > 0 ? 1 : 0;
  // A chain of messages flips every bit of the core's number: it begins and ends in folded cores only if they are the majority.
  const std::uint64_t unfold = 2 * folding.extra() > folding.cores() ? 1 : 0;
  const std::uint64_t rounds = fold + exchanges + unfold;
  return flat_cost(1, {.rounds = rounds, .path = rounds, .sent = exchanges + fold, .reduced = exchanges + fold});
}

}  // namespace tutti::all_reduce_algorithms
