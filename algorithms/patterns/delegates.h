// Delegates: who passes on, inside an outermost group (host), what comes from or goes to a rank of another one. With equal groups
// that is the rank at the same place, and a rank and its delegates are a rail. Otherwise it is the one about as far on, counted
// from another rank for each other group, so that not always the same ranks stand for one more than others.
//
//   groups {0 1}, {2 3}         a rail: 0 2, another one: 1 3
//   groups {0 1 2}, {3 4}       3 is the delegate of 0 and 1, 4 that of 2;      1 is the delegate of 3, and 2 that of 4
#pragma once

#include <algorithm>
#include <vector>

#include "algorithms/patterns/peers.h"
#include "algorithms/patterns/stages.h"
#include "algorithms/registry.h"

namespace tutti {

class Delegates {
 public:
  // `shape` has levels.
  explicit Delegates(const Shape& shape) : groups_(shape.levels->back()) {}

  [[nodiscard]] const Grouping& groups() const noexcept { return groups_; }
  // Whether all groups have one size, so that ranks and their delegates are rails.
  [[nodiscard]] bool rails() const noexcept { return groups_.equal_sizes(); }
  [[nodiscard]] std::span<const Rank> group(Rank rank) const noexcept { return groups_.members(groups_.group_of(rank)); }

  // The delegate of a rank in a group; in its own it is the rank itself.
  [[nodiscard]] Rank of(Rank rank, int in_group) const noexcept {
    const auto there = groups_.members(in_group);
    const std::size_t as_far = static_cast<std::size_t>(groups_.index_in_group(rank)) * there.size() / group(rank).size();
    return there[(as_far + counted_from(groups_.group_of(rank), in_group)) % there.size()];
  }

  // visit(first, count) for runs of ranks whose delegate is `delegate`, itself among them: by group, then ascending.
  template <class Visit>
  void for_each_run(Rank delegate, Visit&& visit) const {
    const auto size = group(delegate).size();
    const auto index = static_cast<std::size_t>(groups_.index_in_group(delegate));
    Rank first = 0, count = 0;
    for (int g = 0; g < groups_.groups(); ++g) {
      const auto there = groups_.members(g);
      const std::size_t as_far = (index + size - counted_from(g, groups_.group_of(delegate)) % size) % size;
      const auto begin = [&](std::size_t i) { return (i * there.size() + size - 1) / size; };
      for (std::size_t i = begin(as_far); i < begin(as_far + 1); ++i) {
        if (count > 0 && there[i] != first + count) {
          visit(first, count);
          count = 0;
        }
        if (count++ == 0) first = there[i];
      }
    }
    visit(first, count);
  }

  template <class Visit>
  void for_each_peer(Rank me, Visit&& visit) const {
    peers::for_each(groups_, me, visit);
  }
  template <class Visit>
  void for_each_other_group(Rank me, Visit&& visit) const {
    peers::for_each_other(groups_.group_of(me), groups_.groups(), visit);
  }

 private:
  [[nodiscard]] std::size_t counted_from(int of_group, int in_group) const noexcept {
    return rails() || of_group == in_group ? 0 : static_cast<std::size_t>(of_group);
  }

  const Grouping& groups_;
};

// Between the ranks of an outermost group go all blocks of a delegate, run by run.
struct DelegatedBlocks {
  std::uint64_t most = 0, runs = 0;  // of any delegate
  explicit DelegatedBlocks(const Shape& shape) {
    const Delegates delegates(shape);
    if (delegates.rails())
      count_on_rails(delegates);
    else
      bound(delegates.groups());
  }

 private:
  // Ranks of one rail have the same blocks, and each rail goes through the first group.
  void count_on_rails(const Delegates& delegates) {
    for (const Rank r : delegates.groups().members(0)) {
      std::uint64_t blocks = 0, of_rank = 0;
      delegates.for_each_run(r, [&](Rank, Rank count) { blocks += static_cast<std::uint64_t>(count), ++of_rank; });
      most = std::max(most, blocks);
      runs = std::max(runs, of_rank);
    }
  }
  // Of each group, a rank of the smallest one stands for its share, rounded up; all of them may lie apart.
  void bound(const Grouping& groups) {
    const auto least = static_cast<std::size_t>(groups.smallest());
    for (int g = 0; g < groups.groups(); ++g) most += (groups.members(g).size() + least - 1) / least;
    runs = most;
  }
};

// Of what delegates pass on inside their groups, and of what goes `across`, as one rail has it: between groups of different sizes
// it goes straight to the delegates, in one round.
[[nodiscard]] inline Cost delegated_cost(const Shape& shape, LevelCost across, bool reduces) {
  const DelegatedBlocks blocks(shape);
  const bool rails = Delegates(shape).rails();
  Cost cost{.chunks_per_block = 1, .levels = {}, .exact = stages::sizes(shape).equal};
  const auto peers = peers::weigh(shape, [](Rank) { return 1; });
  for (std::size_t level = 0; level < peers.size(); ++level)
    if (peers[level] > 0)
      cost.levels.push_back({.level = static_cast<int>(level),
                             .rounds = static_cast<std::uint32_t>(blocks.runs),
                             .path = blocks.most,
                             .sent = peers[level] * blocks.most,
                             .reduced = reduces ? peers[level] * blocks.most : 0});
  if (!rails) across.rounds = 1, across.path = 1;
  if (!rails && reduces) across.sent = blocks.most;
  across.level = static_cast<int>(peers.size());
  const Grouping& groups = Delegates(shape).groups();
  const Rank leaving = reduces ? shape.ranks - groups.smallest() : groups.largest() * (groups.groups() - 1);
  across.leaving = static_cast<std::uint64_t>(leaving);
  cost.levels.push_back(across);
  return cost;
}

}  // namespace tutti
