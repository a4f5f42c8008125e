// Who does what in hierarchical algorithms, on all made-up machines: rails, delegates, trees of groups, carriers.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "algorithms/patterns/delegates.h"
#include "algorithms/patterns/group_tree.h"
#include "algorithms/patterns/rails.h"
#include "catalog/machines.h"

namespace tutti {
namespace {

template <class Check>
void on_all_machines(Rank most_ranks, Check&& check) {
  for (Rank p = 1; p <= most_ranks; ++p)
    for (const Machine& machine : made_up_machines(p)) {
      SCOPED_TRACE(std::to_string(p) + " ranks, " + machine.name);
      ASSERT_NO_FATAL_FAILURE(check(Shape{.ranks = p, .levels = &machine.levels}));
    }
}

void check_rails(const Shape& shape) {
  const Rails rails(shape);
  std::map<std::pair<Rank, std::uint32_t>, Rank> stands;  // of a group on a rail
  for (Rank r = 0; r < shape.ranks; ++r) {
    const auto [first, count] = rails.of(r);
    for (std::uint32_t rail = first; rail < first + count; ++rail) {
      ASSERT_TRUE(stands.try_emplace({rails.group_of(r), rail}, r).second) << "two ranks of a group on rail " << rail;
      ASSERT_EQ(rails.rank(rails.group_of(r), rail), r);
    }
    ASSERT_LE(count, rails.most());
    ASSERT_LE(count * rails.members(rails.group_of(r)).size(), 2 * rails.count()) << "rank " << r << " has too much to do";
  }
  ASSERT_EQ(stands.size(), static_cast<std::size_t>(rails.groups()) * rails.count());
}

TEST(Rails, EveryGroupHasOneRankOnEach) { on_all_machines(48, check_rails); }

TEST(Rails, AreAsManyAsRanksInGroupsOfOneSize) {
  const std::vector<Grouping> levels{Grouping({0, 0, 0, 1, 1, 1})};
  const Rails rails({.ranks = 6, .levels = &levels});
  EXPECT_EQ(rails.count(), 3U);
  EXPECT_EQ(rails.most(), 1U);
  EXPECT_EQ(rails.in_turn(), 1U);
  EXPECT_EQ(rails.rank(1, 2), 5);
}

TEST(Rails, WaitForOneAnotherWhereTwoSmallGroupsMeetOnSeveral) {
  const std::vector<Grouping> one_small{Grouping({0, 0, 0, 0, 1, 2, 2, 2, 2})}, two_small{Grouping({0, 0, 0, 0, 1, 2})};
  EXPECT_EQ(Rails({.ranks = 9, .levels = &one_small}).in_turn(), 1U);
  EXPECT_EQ(Rails({.ranks = 6, .levels = &two_small}).in_turn(), 4U);
  EXPECT_EQ(Rails({.ranks = 6, .levels = &two_small}).most(), 4U);
}

void check_delegates(const Shape& shape) {
  const Delegates delegates(shape);
  std::set<std::pair<Rank, int>> seen;  // a rank, and in which group it has been found
  for (Rank r = 0; r < shape.ranks; ++r) {
    const int group = delegates.groups().group_of(r);
    ASSERT_EQ(delegates.of(r, group), r);
    delegates.for_each_run(r, [&](Rank first, Rank count) {
      for (Rank other = first; other < first + count; ++other) {
        ASSERT_EQ(delegates.of(other, group), r);
        ASSERT_TRUE(seen.insert({other, group}).second);
      }
    });
  }
  ASSERT_EQ(seen.size(), static_cast<std::size_t>(shape.ranks) * static_cast<std::size_t>(delegates.groups().groups()));
}

TEST(Delegates, EveryRankHasOneInEachGroup) { on_all_machines(48, check_delegates); }

void check_tree(const Shape& shape) {
  std::vector<Rank> parents(static_cast<std::size_t>(shape.ranks), kNoRank);
  for (Rank r = 0; r < shape.ranks; ++r) {
    const GroupTree tree(r, shape);
    Rank below = 1;
    for (const GroupTree::Child& child : tree.children()) {
      const GroupTree other(child.rank, shape);
      ASSERT_EQ(other.parent(), r);
      ASSERT_EQ(other.below().first, child.below.first);
      ASSERT_EQ(other.below().count, child.below.count);
      ASSERT_GE(child.below.first, tree.below().first);
      ASSERT_LE(child.below.first + child.below.count, tree.below().first + tree.below().count);
      below += child.below.count;
    }
    ASSERT_EQ(below, tree.below().count);
    ASSERT_EQ(tree.parent() == kNoRank, r == shape.root);
  }
}

TEST(GroupTree, SpansAllRanksFromAnyRoot) {
  on_all_machines(20, [](Shape shape) {
    for (shape.root = 0; shape.root < shape.ranks; ++shape.root) ASSERT_NO_FATAL_FAILURE(check_tree(shape));
  });
}

// Messages between different groups.
int between_groups(const Algorithm& algorithm, const Shape& shape) {
  int messages = 0;
  const Grouping& groups = shape.levels->back();
  for (Rank r = 0; r < shape.ranks; ++r)
    for (const Step& step : algorithm.build(r, shape, {}).steps)
      messages += step.kind == StepKind::send && groups.group_of(step.peer) != groups.group_of(r) ? 1 : 0;
  return messages;
}

std::vector<Grouping> hosts_of(Rank ranks, Rank size) {
  std::vector<int> host(static_cast<std::size_t>(ranks));
  for (std::size_t r = 0; r < host.size(); ++r) host[r] = static_cast<int>(r) / size;
  return {Grouping(host)};
}

TEST(Hierarchical, AllToAllSendsOneMessagePerPairOfHosts) {
  const Algorithm& row = *find_algorithm(Collective::all_to_all, "hierarchical");
  const auto many = hosts_of(24, 4), uneven = hosts_of(23, 4), two = hosts_of(8, 4);
  EXPECT_EQ(between_groups(row, {.ranks = 24, .levels = &many}), 6 * 5);
  EXPECT_EQ(between_groups(row, {.ranks = 23, .levels = &uneven}), 6 * 5);
  EXPECT_EQ(between_groups(row, {.ranks = 8, .levels = &two}), 2 * 2) << "in two parts, so that all ranks carry";
}

TEST(Hierarchical, EveryHostSendsOrGetsOneMessageWhereThereIsARoot) {
  const auto hosts = hosts_of(24, 4);
  for (const Collective c : {Collective::gather, Collective::scatter})
    EXPECT_EQ(between_groups(*find_algorithm(c, "hierarchical"), {.ranks = 24, .root = 9, .levels = &hosts}), 5) << name(c);
}

// A rank's schedule is as large as what it does, however many others there are.
TEST(Hierarchical, SchedulesOfManyRanksAreSmall) {
  constexpr Rank kRanks = 96'000;
  const auto hosts = hosts_of(kRanks, 16);
  const auto steps = [&](Collective collective, std::string_view algorithm, Rank rank) {
    return find_algorithm(collective, algorithm)->build(rank, {.ranks = kRanks, .levels = &hosts}, {}).steps.size();
  };
  EXPECT_LT(steps(Collective::all_reduce, "hierarchical_scatter", 17), 250U);
  EXPECT_LT(steps(Collective::reduce, "hierarchical_scatter", 17), 100U);
  EXPECT_LT(steps(Collective::broadcast, "hierarchical_scatter", 17), 100U);
  EXPECT_EQ(steps(Collective::gather, "hierarchical", 17), 1U);
  EXPECT_EQ(steps(Collective::scatter, "hierarchical", 17), 1U);
  EXPECT_EQ(steps(Collective::barrier, "hierarchical", 17), 2U);
}

}  // namespace
}  // namespace tutti
