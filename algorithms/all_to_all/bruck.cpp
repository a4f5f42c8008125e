// Bruck's all_to_all for blocks of one size and any radix k: ceil(log_k p) rounds of k-1 messages each, for any p. The way of a
// block is how far it has to go down the circle of ranks: from i to d it is (i - d) mod p. In the round of a digit of ways,
// written to base k, every rank packs the blocks whose way has the digit j there, worth w, into one message to the rank w down
// the circle, for every j but 0. A block so moves at the digits of its way that are not 0, lowest first, and has arrived when
// they are used up: a rank then holds, for every way w, the block of rank (me + w) mod p. A larger radix means that fewer blocks
// move more than once. Instead of the original's rotations before and after, a list says where the block of each way lies at the
// moment; the first message of a block is packed from the input, and only at the end the blocks are put where they belong.
//
//   4 ranks, k=2  way 1      way 2      way 3
//   bit 0         moves                 moves        i -> i-1, two blocks in one message
//   bit 1                    moves      moves        i -> i-2, two blocks in one message
//
// Source: J. Bruck, C.-T. Ho, S. Kipnis, E. Upfal, D. Weathersby, "Efficient Algorithms for All-to-All Communications in
// Multiport Message-Passing Systems", IEEE Trans. Parallel and Distributed Systems 8 (1997); without rotations as in
// J. L. Träff, A. Rougier, S. Hunold, "Implementing a classic: zero-copy all-to-all communication with MPI datatypes", ICS 2014.
// On the choice of the radix: K. Fan, S. Petruzza, T. Gilray, S. Kumar, "Configurable Algorithms for All-to-All Collectives", ISC
// 2024.
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

// How many of the ways 1 .. p-1 have the digit worth `way` (a digit times a power of k) at the place worth `unit` (that power).
std::uint32_t ways_with(std::int64_t way, std::int64_t unit, std::int64_t radix, std::int64_t p) {
  const std::int64_t cycle = unit * radix;
  return static_cast<std::uint32_t>(p / cycle * unit + std::clamp<std::int64_t>(p % cycle - way, 0, unit));
}

// visit(unit): 1, k, k^2, ... below p.
template <class Visit>
void for_each_place(Rank radix, Rank p, Visit&& visit) {
  for (std::int64_t unit = 1; unit < p; unit *= radix) visit(static_cast<Rank>(unit));
}

// visit(way, count): for the digits of a place that occur, what they are worth and how many ways have them.
template <class Visit>
void for_each_digit(Rank unit, Rank radix, Rank p, Visit&& visit) {
  for (std::int64_t digit = 1, way = unit; digit < radix && way < p; ++digit, way += unit)
    visit(static_cast<Rank>(way), ways_with(way, unit, radix, p));
}

}  // namespace

Schedule bruck(Rank me, const Shape& shape, const Chunking& chunking) {
  const Rank p = shape.ranks, radix = static_cast<Rank>(chunking.radix);
  Builder b(Collective::all_to_all, "bruck", me, shape, 1);
  const auto rank_at = [&](Rank way) { return static_cast<std::uint32_t>(ring::shift(me, way, p)); };
  std::vector<Slice> place;  // of each way's block
  for (Rank way = 0; way < p; ++way) place.push_back(b.input(rank_at(-way)));

  std::uint32_t most = 0;  // that move in one round: the first
  for_each_digit(1, radix, p, [&](Rank, std::uint32_t count) { most += count; });
  const Slice packed = p > 1 ? b.scratch_like({Buffer::output, 0, most}) : Slice{};
  for_each_place(radix, p, [&](Rank unit) {
    std::uint32_t at = packed.chunk;
    for_each_digit(unit, radix, p, [&](Rank first, std::uint32_t count) {
      const Slice arrived = b.scratch_like({Buffer::output, 0, count}), leaving{packed.buffer, at, count};
      std::vector<Slice> blocks;
      for (std::int64_t cycle = first; cycle < p; cycle += std::int64_t{unit} * radix)
        for (std::int64_t way = cycle; way < std::min<std::int64_t>(cycle + unit, p); ++way) {
          auto& block = place[static_cast<std::size_t>(way)];
          blocks.push_back(block);
          block = {arrived.buffer, arrived.chunk + static_cast<std::uint32_t>(blocks.size()) - 1, 1};
        }
      copy_runs(b, blocks, leaving);
      b.send(leaving, ring::shift(me, -first, p));
      b.recv(ring::shift(me, first, p), arrived);
      at += count;
    });
  });
  const std::span<const Slice> ways(place);
  const auto before_wrap = static_cast<std::size_t>(p - me);
  copy_runs(b, ways.first(before_wrap), b.output(rank_at(0)));
  copy_runs(b, ways.subspan(before_wrap), b.output(0));
  return std::move(b).finish();
}

Cost bruck_cost(const Shape& shape, const Chunking& chunking) {
  const auto radix = static_cast<Rank>(chunking.radix);
  std::uint64_t rounds = 0, sent = 0, path = 0, messages = 0;
  for_each_place(radix, shape.ranks, [&](Rank unit) {
    ++rounds;
    path += ways_with(unit, unit, radix, shape.ranks);  // no digit is more frequent than 1
    for_each_digit(unit, radix, shape.ranks, [&](Rank, std::uint32_t count) { sent += count, ++messages; });
  });
  const auto tell = [&](Carried& network) {
    for_each_place(radix, shape.ranks, [&](Rank unit) {
      for_each_digit(unit, radix, shape.ranks, [&](Rank way, std::uint32_t count) { network.shift(way, count); });
    });
  };
  return flat_cost(1, {.rounds = rounds, .path = path, .sent = sent, .carried = carried(shape, tell), .posted = messages});
}

}  // namespace tutti::all_to_all_algorithms
