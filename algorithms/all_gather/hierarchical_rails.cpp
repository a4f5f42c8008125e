// Hierarchical all_gather with all ranks at the borders. Every rank's block goes to the rank's delegate in each other outermost
// group (host; patterns/delegates.h), who passes it on to all of that group. So each block enters a host once, and every rank of
// the host takes in its share.
//
//   4 ranks, 2 hosts      0     1   |   2     3
//   between               a<--------|-->c              0 and 2 have a and c
//                               b<--|-------->d        1 and 3 have b and d
//   inside                ac<->bd   |   ac<->bd
//
// With equal groups the delegates of a rank are a rail, and rails run the circulant all_gather; else every rank sends straight to
// its delegates.
// Source: K. Kandalla, H. Subramoni, G. Santhanaraman, M. Koop, D. Panda, "Designing Multi-Leader-Based Allgather Algorithms for
// Multi-Core Clusters", IPDPS Workshops 2009, with as many leaders as ranks.
#include "algorithms/all_gather/all_gather.h"
#include "algorithms/patterns/circulant.h"
#include "algorithms/patterns/delegates.h"

namespace tutti::all_gather_algorithms {
namespace {

Slice blocks(const Builder& b, Rank first, Rank count) {
  return b.output(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(count));
}

// The rail's blocks come to one slice first where they do not lie side by side.
void gather_on_rail(Builder& b, const Delegates& delegates) {
  const Rank me = b.me();
  const auto groups = static_cast<Rank>(delegates.groups().groups());
  std::vector<Slice> runs;
  delegates.for_each_run(me, [&](Rank first, Rank count) { runs.push_back(blocks(b, first, count)); });
  Slice rail = runs.front();
  if (runs.size() > 1) {
    rail = b.scratch_like(runs.front());
    for (auto run = runs.begin() + 1; run != runs.end(); ++run) (void)b.scratch_like(*run);
    rail.count = static_cast<std::uint32_t>(groups);
  }
  embed(b, circulant(delegates.groups().group_of(me), {.ranks = groups}, {}), [&](Rank g) { return delegates.of(me, g); },
        {b.input(0)}, {rail});
  if (runs.size() == 1) return;
  for (const Slice& run : runs) {
    b.copy({rail.buffer, rail.chunk, run.count}, run);
    rail.chunk += run.count;
  }
}

void gather_from_unequal_groups(Builder& b, const Delegates& delegates) {
  const Rank me = b.me();
  delegates.for_each_other_group(me, [&](Rank to, Rank) { b.send(b.input(0), delegates.of(me, to)); });
  b.copy(b.input(0), blocks(b, me, 1));
  delegates.for_each_run(me, [&](Rank first, Rank count) {
    for (Rank r = first; r < first + count; ++r)
      if (r != me) b.recv(r, blocks(b, r, 1));
  });
}

}  // namespace

Schedule hierarchical_rails(Rank me, const Shape& shape, const Chunking&) {
  const Delegates delegates(shape);
  Builder b(Collective::all_gather, "hierarchical_rails", me, shape, 1);
  delegates.rails() ? gather_on_rail(b, delegates) : gather_from_unequal_groups(b, delegates);
  delegates.for_each_peer(me, [&](Rank to, Rank from) {
    delegates.for_each_run(me, [&](Rank first, Rank count) { b.send(blocks(b, first, count), to); });
    delegates.for_each_run(from, [&](Rank first, Rank count) { b.recv(from, blocks(b, first, count)); });
  });
  return std::move(b).finish();
}

Cost hierarchical_rails_cost(const Shape& shape, const Chunking&) {
  const auto groups = static_cast<Rank>(Delegates(shape).groups().groups());
  return delegated_cost(shape, circulant_cost({.ranks = groups}, {}).levels.front(), false);
}

}  // namespace tutti::all_gather_algorithms
