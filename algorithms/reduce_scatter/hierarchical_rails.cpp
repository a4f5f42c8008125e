// Hierarchical reduce_scatter with all ranks at the borders. Inside each outermost group (host) every rank combines what its
// group has for the ranks whose delegate it is (patterns/delegates.h); then the delegates of a rank combine what they have for
// it. So each block leaves a host once, and every rank of the host sends its share.
//
//   4 ranks, 2 hosts      0     1   |   2     3
//   inside                ac<->bd   |   ac<->bd        0 and 2 combine what their hosts have for 0 and 2
//   between               a<------c-|-->c              0 with 2, 1 with 3
//                               b<--|-d------>d
//
// With equal groups the delegates of a rank are a rail, and rails run the circulant reduce_scatter; else every delegate sends
// straight to the rank.
// Source: M. Bayatpour et al., "Scalable Reduction Collectives with Data Partitioning-based Multi-Leader Design", SC 2017.
#include "algorithms/patterns/circulant.h"
#include "algorithms/patterns/combine.h"
#include "algorithms/patterns/delegates.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::reduce_scatter_algorithms {
namespace {

Slice blocks(const Builder& b, Rank first, Rank count) {
  return b.input(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(count));
}

// Combines, inside the group, the blocks of those whose delegate this rank is; returns them in the order of their runs.
std::vector<Slice> combine_in_group(Builder& b, const Delegates& delegates) {
  const Rank me = b.me();
  const auto group = delegates.group(me);
  const auto index = [&](Rank rank) { return std::lower_bound(group.begin(), group.end(), rank) - group.begin(); };
  std::vector<Slice> sums;
  delegates.for_each_run(me, [&](Rank first, Rank count) { sums.push_back(blocks(b, first, count)); });
  if (group.size() == 1) return sums;

  std::vector<std::vector<Slice>> contributions;  // of each run
  for (const Slice& own : sums) contributions.emplace_back(group.size(), own);
  delegates.for_each_peer(me, [&](Rank to, Rank from) {
    delegates.for_each_run(to, [&](Rank first, Rank count) { b.send(blocks(b, first, count), to); });
    for (std::size_t run = 0; run < sums.size(); ++run) {
      Slice& arrival = contributions[run][static_cast<std::size_t>(index(from))];
      arrival = b.scratch_like(sums[run]);
      b.recv(from, arrival);
    }
  });
  const bool done = delegates.groups().groups() == 1;
  for (Slice& sum : sums) sum = done ? b.output(0) : b.scratch_like(sum);
  for (std::size_t run = 0; run < sums.size(); ++run)
    combine_in_rank_order(b, contributions[run], static_cast<std::size_t>(index(me)), sums[run]);
  return sums;
}

// Every delegate sends its sums to those that they are for.
void exchange_between_unequal_groups(Builder& b, const Delegates& delegates, const std::vector<Slice>& sums) {
  const Rank me = b.me();
  std::vector<Slice> contributions(static_cast<std::size_t>(delegates.groups().groups()));
  const auto own = static_cast<std::size_t>(delegates.groups().group_of(me));
  auto run = sums.begin();
  delegates.for_each_run(me, [&](Rank first, Rank count) {
    for (Rank i = 0; i < count; ++i) {
      const Slice sum{run->buffer, run->chunk + static_cast<std::uint32_t>(i), 1};
      if (first + i == me)
        contributions[own] = sum;
      else
        b.send(sum, first + i);
    }
    ++run;
  });
  delegates.for_each_other_group(me, [&](Rank, Rank from) {
    Slice& arrival = contributions[static_cast<std::size_t>(from)];
    arrival = b.scratch_like(b.output(0));
    b.recv(delegates.of(me, from), arrival);
  });
  combine_in_rank_order(b, contributions, own, b.output(0));
}

}  // namespace

Schedule hierarchical_rails(Rank me, const Shape& shape, const Chunking&) {
  const Delegates delegates(shape);
  const auto groups = static_cast<Rank>(delegates.groups().groups());
  Builder b(Collective::reduce_scatter, "hierarchical_rails", me, shape, 1);
  const std::vector<Slice> sums = combine_in_group(b, delegates);
  if (groups == 1) {
    b.copy(sums.front(), b.output(0));  // of a single rank; else it is there
  } else if (delegates.rails()) {
    const Slice all{sums.front().buffer, sums.front().chunk, static_cast<std::uint32_t>(groups)};
    embed(b, circulant(delegates.groups().group_of(me), {.ranks = groups}, {}), [&](Rank g) { return delegates.of(me, g); },
          {all}, {b.output(0)});
  } else {
    exchange_between_unequal_groups(b, delegates, sums);
  }
  return std::move(b).finish();
}

Cost hierarchical_rails_cost(const Shape& shape, const Chunking&) {
  const auto groups = static_cast<Rank>(Delegates(shape).groups().groups());
  return delegated_cost(shape, circulant_cost({.ranks = groups}, {}).levels.front(), true);
}

}  // namespace tutti::reduce_scatter_algorithms
