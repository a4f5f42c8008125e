// Recursive halving reduce_scatter and, with a radix k, recursive splitting. Ranks are folded to a product of factors of at most
// k (see patterns/folding.h), 2^n for k = 2; each of these cores is in charge of the blocks of the ranks it stands for. In the
// round of a factor f, far to near, f cores split the range of blocks that they share: each sends the others the part that they
// are in charge of and combines what it gets for the part it keeps.
//
//   ranks      0                 1                 2                 3
//   round 0    cd -> 2           cd -> 3           ab -> 0           ab -> 1        keeping  ab  ab  cd  cd
//   round 1    b02 -> 1          a13 -> 0          d02 -> 3          c13 -> 2       keeping  a   b   c   d
//
// A core that stands for two ranks at last hands the odd one its block.
// Source: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH", Int. J.
// High Performance Computing Applications 19 (2005), for k = 2, which is drawn; M. Wilkins et al., "Generalized Collective
// Algorithms for the Exascale Era", CLUSTER 2023.
#include "algorithms/patterns/combine.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/folding.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::reduce_scatter_algorithms {
namespace {

// The blocks of cores [begin, end), in a buffer that starts with the block of rank `origin`.
Slice blocks_of(const Folding& folding, Rank begin, Rank end, const Slice& buffer, Rank origin) {
  const Rank first = folding.rank(begin);
  return {buffer.buffer, buffer.chunk + static_cast<std::uint32_t>(first - origin),
          static_cast<std::uint32_t>(folding.rank(end) - first)};
}

// The halving proper: starts from `partial`, which holds all blocks, and returns where the blocks of `core` are at the end;
// a single block ends in the output.
Slice halve(Builder& b, const Folding& folding, Rank core, Slice partial) {
  Rank begin = 0, size = folding.cores(), origin = 0;
  for (const Rank factor : std::views::reverse(folding.factors())) {
    size /= factor;
    const Rank own = (core - begin) / size;
    const auto part = [&](Rank i) { return blocks_of(folding, begin + i * size, begin + (i + 1) * size, partial, origin); };
    const auto member = [&](Rank i) { return folding.rank(core + (i - own) * size); };
    for (Rank i = 0; i < factor; ++i)
      if (i != own) b.send(part(i), member(i));

    const Slice kept = part(own), sizes = b.input(static_cast<std::uint32_t>(folding.rank(begin + own * size)), kept.count);
    std::vector<Slice> contributions(static_cast<std::size_t>(factor), kept);
    for (Rank i = 0; i < factor; ++i) {
      if (i == own) continue;
      Slice& arrival = contributions[static_cast<std::size_t>(i)];
      arrival = b.scratch_like(sizes);
      b.recv(member(i), arrival);
    }
    const Slice sum = kept.count > 1 ? b.scratch_like(sizes) : b.output(0);
    combine_in_rank_order(b, contributions, static_cast<std::size_t>(own), sum);
    begin += own * size;
    origin = folding.rank(begin);
    partial = sum;
  }
  return partial;
}

// Blocks that `core` keeps in all rounds together, and how many are combined with them.
struct Kept {
  std::uint64_t blocks = 0, combined = 0;
};
Kept kept_by(const Folding& folding, Rank core) {
  Kept kept;
  Rank stride = 1;
  for (const Rank factor : folding.factors()) {
    const Rank begin = core / stride * stride;
    const auto blocks = static_cast<std::uint64_t>(folding.rank(begin + stride) - folding.rank(begin));
    kept.blocks += blocks;
    kept.combined += blocks * static_cast<std::uint64_t>(factor - 1);
    stride *= factor;
  }
  return kept;
}

}  // namespace

Schedule recursive_halving(Rank me, const Shape& shape, const Chunking& chunking) {
  const Folding folding(shape.ranks, static_cast<Rank>(chunking.radix));
  const Rank core = folding.core(me), folded = folding.partner(me);
  Builder b(Collective::reduce_scatter, "recursive_halving", me, shape, 1);
  const Slice all = b.input(0, static_cast<std::uint32_t>(shape.ranks));
  if (core == kNoRank) {
    b.send(all, folded);
    b.recv(folded, b.output(0));
    return std::move(b).finish();
  }
  Slice partial = all;
  if (folded != kNoRank) {
    const Slice arrival = b.scratch_like(all);
    partial = b.scratch_like(all);
    b.recv(folded, arrival);
    b.copy(all, partial);
    b.reduce(arrival, partial);
  }
  const Slice mine = halve(b, folding, core, partial);
  b.copy({mine.buffer, mine.chunk, 1}, b.output(0));
  if (folded != kNoRank) b.send({mine.buffer, mine.chunk + 1, 1}, folded);
  return std::move(b).finish();
}

Cost recursive_halving_cost(const Shape& shape, const Chunking& chunking) {
  const Folding folding(shape.ranks, static_cast<Rank>(chunking.radix));
  const auto p = static_cast<std::uint64_t>(shape.ranks), rounds = std::uint64_t{folding.factors().size()};
  // The heaviest chain of messages ends nearest to the front, where cores stand for two ranks.
  const Kept by_last = kept_by(folding, folding.lowest_end_of_chain()), by_first = kept_by(folding, 0);
  const std::uint64_t through = carried(shape, [&](Carried& network) {
    for (Rank core = 0; core < folding.extra(); ++core) {
      network.message(folding.rank(core) + 1, folding.rank(core), p);
      network.message(folding.rank(core), folding.rank(core) + 1, 1);
    }
    for_each_pair(folding, [&](Rank a, Rank b, Rank stride) {
      const Rank begin = b / stride * stride;
      const Rank blocks = folding.rank(begin + stride) - folding.rank(begin);
      network.message(folding.rank(a), folding.rank(b), static_cast<std::uint64_t>(blocks));
    });
  });
  if (folding.extra() == 0)
    return flat_cost(1, {.rounds = rounds,
                         .path = by_last.blocks,
                         .sent = p - 1,
                         .reduced = by_first.combined,
                         .carried = through,
                         .posted = folding.messages()});
  const std::uint64_t unfold = folding.chain_ends_with_pair() ? 1 : 0;
  const std::uint64_t taken = p + by_first.combined;
  return flat_cost(1, {.rounds = 1 + rounds + unfold,
                       .path = p + by_last.blocks + unfold,
                       .sent = p,
                       .reduced = taken,
                       .carried = through,
                       .taken = taken,
                       .posted = folding.messages() + 1});
}

}  // namespace tutti::reduce_scatter_algorithms
