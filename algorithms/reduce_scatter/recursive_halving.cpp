// Recursive halving reduce_scatter. Ranks are folded to 2^k cores (see patterns/folding.h), each in charge of the blocks of
// the ranks it stands for. In each round a core and its partner, half as far away as in the round before, split the
// range of blocks they share: each sends the half that the other is in charge of and combines the half it keeps.
//
//   ranks      0                 1                 2                 3
//   round 0    cd -> 2           cd -> 3           ab -> 0           ab -> 1        keeping  ab  ab  cd  cd
//   round 1    b02 -> 1          a13 -> 0          d02 -> 3          c13 -> 2       keeping  a   b   c   d
//
// A core that stands for two ranks at last hands the odd one its block.
// Source: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH", Int. J.
// High Performance Computing Applications 19 (2005).
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/folding.h"
#include "algorithms/patterns/logarithm.h"
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
  Rank begin = 0, end = folding.cores(), origin = 0;
  while (end - begin > 1) {
    const Rank half = (end - begin) / 2, middle = begin + half;
    const bool keeps_low = core < middle;
    const Slice low = blocks_of(folding, begin, middle, partial, origin);
    const Slice high = blocks_of(folding, middle, end, partial, origin);
    const Slice kept = keeps_low ? low : high;
    const Rank partner = folding.rank(keeps_low ? core + half : core - half);
    (keeps_low ? end : begin) = middle;
    origin = folding.rank(begin);

    const Slice sizes = b.input(static_cast<std::uint32_t>(origin), kept.count);
    const Slice arrival = b.scratch_like(sizes);
    const Slice sum = kept.count > 1 ? b.scratch_like(sizes) : b.output(0);
    b.send(keeps_low ? high : low, partner);
    b.recv(partner, arrival);
    b.copy(kept, sum);
    b.reduce(arrival, sum);
    partial = sum;
  }
  return partial;
}

// Blocks that pass through `core`'s hands: it keeps this many in all rounds together.
std::uint64_t kept_by(const Folding& folding, Rank core) {
  std::uint64_t kept = 0;
  for (Rank half = 1; half < folding.cores(); half *= 2) {
    const Rank begin = core / half * half;
    kept += static_cast<std::uint64_t>(folding.rank(begin + half) - folding.rank(begin));
  }
  return kept;
}

}  // namespace

Schedule recursive_halving(Rank me, const Shape& shape, const Chunking&) {
  const Folding folding(shape.ranks);
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

Cost recursive_halving_cost(const Shape& shape, const Chunking&) {
  const Folding folding(shape.ranks);
  const auto p = static_cast<std::uint64_t>(shape.ranks), rounds = static_cast<std::uint64_t>(floor_log2(shape.ranks));
  if (folding.extra() == 0) return flat_cost(1, {.rounds = rounds, .path = p - 1, .sent = p - 1, .reduced = p - 1});
  // A chain of messages flips every bit of the core's number. The heaviest one starts at the last core that is folded, because
  // it then ends nearest to the front, where cores stand for two ranks; it may itself end in such a core.
  const Rank end = folding.cores() - folding.extra();
  const std::uint64_t unfolds = end < folding.extra() ? 1 : 0;
  return flat_cost(1, {.rounds = 1 + rounds + unfolds,
                       .path = p + kept_by(folding, end) + unfolds,
                       .sent = p,
                       .reduced = p + kept_by(folding, 0)});
}

}  // namespace tutti::reduce_scatter_algorithms
