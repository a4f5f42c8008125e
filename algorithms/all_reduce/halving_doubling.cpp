// Halving-doubling all_reduce (Rabenseifner's), for any radix k. Ranks are folded to a product of factors of at most k (see
// patterns/folding.h), 2^n cores for k = 2; the vector has one chunk per core. A recursive halving reduce_scatter leaves chunk c,
// combined, at core c; a recursive doubling all_gather brings all chunks to all cores, and folded ranks get the result from
// theirs.
//
//   ranks      0                 1                 2                 3
//   round 0    cd -> 2           cd -> 3           ab -> 0           ab -> 1        keeping  ab  ab  cd  cd
//   round 1    b02 -> 1          a13 -> 0          d02 -> 3          c13 -> 2       keeping  a   b   c   d
//   round 2    A <-------------> B                 C <-------------> D
//   round 3    AB <------------------------------> CD                               and 1 with 3
//
// As few bytes as a ring in a logarithmic number of rounds, if nobody is folded; far partners exchange most.
// Source: R. Rabenseifner, "Optimization of Collective Reduction Operations", ICCS 2004, for k = 2, which is drawn; M. Wilkins et
// al., "Generalized Collective Algorithms for the Exascale Era", CLUSTER 2023.
#include "algorithms/all_gather/all_gather.h"
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/doubling.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/folding.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::all_reduce_algorithms {

Schedule halving_doubling(Rank me, const Shape& shape, const Chunking& chunking) {
  const Folding folding(shape.ranks, static_cast<Rank>(chunking.radix));
  const Rank core = folding.core(me), folded = folding.partner(me);
  const auto chunks = static_cast<std::uint32_t>(folding.cores());
  Builder b(Collective::all_reduce, "halving_doubling", me, shape, chunks);
  Slice vector = b.input(0, chunks);
  const Slice result = b.output(0, chunks);
  if (core == kNoRank) {
    b.send(vector, folded);
    b.recv(folded, result);
    return std::move(b).finish();
  }
  if (folded != kNoRank) {
    const Slice arrival = b.scratch_like(result);
    b.recv(folded, arrival);
    b.copy(vector, result);
    b.reduce(arrival, result);
    vector = result;
  }
  const Shape inner{.ranks = folding.cores()};
  const Chunking split{.radix = chunking.radix};
  const auto rank_of = [&](Rank c) { return folding.rank(c); };
  const Slice own = b.output(static_cast<std::uint32_t>(core));
  embed(b, reduce_scatter_algorithms::recursive_halving(core, inner, split), rank_of, {vector}, {own});
  embed(b, all_gather_algorithms::recursive_doubling(core, inner, split), rank_of, {own}, {result});
  if (folded != kNoRank) b.send(result, folded);
  return std::move(b).finish();
}

Cost halving_doubling_cost(const Shape& shape, const Chunking& chunking) {
  const auto radix = static_cast<Rank>(chunking.radix);
  const Folding folding(shape.ranks, radix);
  const auto chunks = static_cast<std::uint64_t>(folding.cores());
  const std::uint64_t fold = folding.extra() > 0 ? 1 : 0, folded = fold * chunks;
  const auto tell = [&](Carried& network) {
    for (Rank core = 0; core < folding.extra(); ++core) network.exchange(folding.rank(core), folding.rank(core) + 1, chunks);
    for_each_pair(folding, [&](Rank a, Rank b, Rank stride) {
      network.message(folding.rank(a), folding.rank(b), 2 * static_cast<std::uint64_t>(stride));
    });
  };
  return flat_cost(static_cast<std::uint32_t>(chunks), {.rounds = 2 * (folding.factors().size() + fold),
                                                        .path = 2 * (doubling::heaviest_path(folding.cores(), radix) + folded),
                                                        .sent = 2 * (chunks - 1) + folded,
                                                        .reduced = chunks - 1 + folded,
                                                        .carried = carried(shape, tell),
                                                        .posted = 2 * folding.messages() + fold});
}

LevelCost repeated_halving_doubling_cost(Rank ranks, std::uint32_t pieces) {
  const Folding folding(ranks);
  const LevelCost once = halving_doubling_cost({.ranks = ranks}, {}).levels.front();
  // Between two cores messages go in turn; only folding the next vector need not wait for the one before.
  const std::uint32_t folds = folding.extra() > 0 ? 2 : 0;
  const auto fold_chunks = folds * static_cast<std::uint64_t>(folding.cores());
  return {.rounds = (once.rounds - folds) * pieces + folds,
          .path = (once.path - fold_chunks) * pieces + fold_chunks,
          .sent = once.sent * pieces,
          .reduced = once.reduced * pieces,
          .posted = once.posted * pieces};
}

}  // namespace tutti::all_reduce_algorithms
