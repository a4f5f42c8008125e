// Delegates: who passes on, inside an outermost group (host), what comes from or goes to a rank of another one. With equal groups
// that is the rank at the same place, and a rank and its delegates are a rail. Otherwise it is the one about as far on, counted
// from another rank for each other group, so that not always the same ranks stand for one more than others.
//
//   groups {0 1}, {2 3}         a rail: 0 2, another one: 1 3
//   groups {0 1 2}, {3 4}       3 is the delegate of 0 and 1, 4 that of 2;      1 is the delegate of 3, and 2 that of 4
#pragma once

#include <algorithm>
#include <map>
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

// Between the ranks of an outermost group go all blocks of a delegate, run by run. Of a delegate of each group: how many, at
// most.
struct DelegatedBlocks {
  std::vector<std::uint64_t> blocks, runs;  // by group

  explicit DelegatedBlocks(const Shape& shape) {
    const Delegates delegates(shape);
    if (delegates.rails())
      count_on_rails(delegates);
    else
      bound(delegates.groups());
  }
  [[nodiscard]] std::uint64_t most() const { return *std::max_element(blocks.begin(), blocks.end()); }

 private:
  // Ranks of one rail have the same blocks, and each rail goes through the first group.
  void count_on_rails(const Delegates& delegates) {
    std::uint64_t most = 0, most_runs = 0;
    for (const Rank r : delegates.groups().members(0)) {
      std::uint64_t of_rank = 0, runs_of_rank = 0;
      delegates.for_each_run(r, [&](Rank, Rank count) { of_rank += static_cast<std::uint64_t>(count), ++runs_of_rank; });
      most = std::max(most, of_rank);
      most_runs = std::max(most_runs, runs_of_rank);
    }
    blocks.assign(static_cast<std::size_t>(delegates.groups().groups()), most);
    runs.assign(blocks.size(), most_runs);
  }
  // Of each group, a rank of this one stands for its share, rounded up; all of them may lie apart.
  void bound(const Grouping& groups) {
    std::map<std::size_t, std::uint64_t> of_size;
    for (int g = 0; g < groups.groups(); ++g) ++of_size[groups.members(g).size()];
    for (int g = 0; g < groups.groups(); ++g) {
      const std::size_t own = groups.members(g).size();
      std::uint64_t shares = 0;
      for (const auto& [size, count] : of_size) shares += count * ((size + own - 1) / own);
      blocks.push_back(shares);
    }
    runs = blocks;
  }
};

// Of what delegates pass on inside their groups, and of what goes `across`, as one rail has it: between groups of different sizes
// it goes straight to the delegates, in one round.
[[nodiscard]] inline Cost delegated_cost(const Shape& shape, LevelCost across, bool reduces) {
  const DelegatedBlocks delegated(shape);
  const Delegates delegates(shape);
  const Grouping& groups = delegates.groups();
  Cost cost{.chunks_per_block = 1, .levels = {}, .exact = stages::sizes(shape).equal};
  const auto of = [&](Rank r) { return static_cast<std::size_t>(groups.group_of(r)); };
  const auto passed_on = peers::weigh(shape, [&](Rank r) { return delegated.blocks[of(r)]; });
  const auto messages = peers::weigh(shape, [&](Rank r) { return delegated.runs[of(r)]; });
  for (std::size_t level = 0; level < passed_on.size(); ++level) {
    if (passed_on[level] == 0) continue;
    LevelCost inside{.level = static_cast<int>(level),
                     .sent = passed_on[level],
                     .reduced = reduces ? passed_on[level] : 0,
                     .posted = messages[level]};
    for (Rank r = 0; r < shape.ranks; ++r)
      if (peers::meets_at(shape, level, r) > 0) {
        inside.rounds = std::max(inside.rounds, static_cast<std::uint32_t>(delegated.runs[of(r)]));
        inside.path = std::max(inside.path, delegated.blocks[of(r)]);
      }
    cost.levels.push_back(inside);
  }
  if (!delegates.rails()) across.rounds = 1, across.path = 1, across.posted = delegated.most();
  if (!delegates.rails() && reduces) across.sent = delegated.most();
  across.level = static_cast<int>(passed_on.size());
  across.leaving =
      static_cast<std::uint64_t>(reduces ? shape.ranks - groups.smallest() : groups.largest() * (groups.groups() - 1));
  cost.levels.push_back(across);
  return cost;
}

}  // namespace tutti
