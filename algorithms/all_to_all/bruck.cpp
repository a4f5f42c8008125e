// Bruck's all_to_all for blocks of one size: ceil(log2 p) rounds of one message each, for any p. The way of a block is how far
// it has to go down the circle of ranks: from i to d it is (i - d) mod p. In the round of bit k every rank packs the blocks
// whose way has this bit into one message to the rank 2^k down the circle. A block so moves at the ones of its way, lowest
// first, and has arrived when they are used up: a rank then holds, for every way w, the block of rank (me + w) mod p.
// Instead of the original's rotations before and after, a list says where the block of each way lies at the moment; the first
// message of a block is packed from the input, and only at the end the blocks are put where they belong.
//
//   4 ranks       way 1      way 2      way 3
//   bit 0         moves                 moves        i -> i-1, two blocks in one message
//   bit 1                    moves      moves        i -> i-2, two blocks in one message
//
// Source: J. Bruck, C.-T. Ho, S. Kipnis, E. Upfal, D. Weathersby, "Efficient Algorithms for All-to-All Communications in
// Multiport Message-Passing Systems", IEEE Trans. Parallel and Distributed Systems 8 (1997); without rotations as in
// J. L. Träff, A. Rougier, S. Hunold, "Implementing a classic: zero-copy all-to-all communication with MPI datatypes", ICS 2014.
#include <algorithm>
#include <span>

#include "algorithms/all_to_all/all_to_all.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"

namespace tutti::all_to_all_algorithms {
namespace {

// Gathers chunks that lie anywhere into the slice that starts at `to`, in one step for as many as lie side by side.
void copy_runs(Builder& b, std::span<const Slice> chunks, Slice to) {
  for (std::size_t i = 0; i < chunks.size();) {
    Slice run = chunks[i];
    while (++i < chunks.size() && chunks[i].buffer == run.buffer && chunks[i].chunk == run.chunk + run.count) ++run.count;
    b.copy(run, {to.buffer, to.chunk, run.count});
    to.chunk += run.count;
  }
}

// How many of the ways 1 .. p-1 have the bit.
std::uint32_t ways_with(Rank bit, Rank p) {
  const Rank whole = p / (2 * bit) * bit, rest = std::max<Rank>(0, p % (2 * bit) - bit);
  return static_cast<std::uint32_t>(whole + rest);
}

}  // namespace

Schedule bruck(Rank me, const Shape& shape, const Chunking&) {
  const Rank p = shape.ranks;
  Builder b(Collective::all_to_all, "bruck", me, shape, 1);
  const auto rank_at = [&](Rank way) { return static_cast<std::uint32_t>(ring::shift(me, way, p)); };
  std::vector<Slice> place;  // of each way's block
  for (Rank way = 0; way < p; ++way) place.push_back(b.input(rank_at(-way)));

  const Slice packed = p > 1 ? b.scratch_like({Buffer::output, 0, ways_with(1, p)}) : Slice{};  // bit 0 has the most
  for (Rank bit = 1; bit < p; bit *= 2) {
    const std::uint32_t size = ways_with(bit, p);
    const Slice arrived = b.scratch_like({Buffer::output, 0, size});
    std::vector<Slice> leaving;
    for (Rank way = bit; way < p; ++way) {
      if ((way & bit) == 0) continue;
      auto& block = place[static_cast<std::size_t>(way)];
      leaving.push_back(block);
      block = {arrived.buffer, arrived.chunk + static_cast<std::uint32_t>(leaving.size()) - 1, 1};
    }
    copy_runs(b, leaving, packed);
    b.send({packed.buffer, packed.chunk, size}, ring::shift(me, -bit, p));
    b.recv(ring::shift(me, bit, p), arrived);
  }
  const std::span<const Slice> ways(place);
  const auto before_wrap = static_cast<std::size_t>(p - me);
  copy_runs(b, ways.first(before_wrap), b.output(rank_at(0)));
  copy_runs(b, ways.subspan(before_wrap), b.output(0));
  return std::move(b).finish();
}

Cost bruck_cost(const Shape& shape, const Chunking&) {
  std::uint64_t rounds = 0, blocks = 0;
  for (Rank bit = 1; bit < shape.ranks; bit *= 2, ++rounds) blocks += ways_with(bit, shape.ranks);
  return flat_cost(1, {.rounds = rounds, .path = blocks, .sent = blocks});
}

}  // namespace tutti::all_to_all_algorithms
