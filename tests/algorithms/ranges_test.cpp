// Arithmetic of ranges: trees and exchanges whose groups are ranges of ranks, for every number of ranks up to 1,000.
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "algorithms/patterns/doubling.h"
#include "algorithms/patterns/grouped_order.h"
#include "algorithms/patterns/knomial_tree.h"
#include "algorithms/patterns/rooted_stages.h"

namespace tutti {
namespace {

constexpr Rank kMostRanks = 1000;

// Children split what is below their parent, and the closed forms are what the tree has.
void check_tree(Rank p, Rank root, Rank radix) {
  std::uint64_t deepest = 0, heaviest = 0, widest = 0;
  Rank seen = 0;
  struct Visit {
    Rank rank;
    std::uint64_t depth, weight;
  };
  for (std::vector<Visit> open{{root, 0, 0}}; !open.empty();) {
    const Visit at = open.back();
    open.pop_back();
    ++seen;
    deepest = std::max(deepest, at.depth);
    heaviest = std::max(heaviest, at.weight);
    const auto node = knomial_tree::find(at.rank, root, p, radix);
    ASSERT_TRUE(node.below.contains(at.rank));
    Rank below = 1;
    std::uint64_t children = 0;
    knomial_tree::for_each_child(node, [&](const knomial_tree::Group& child) {
      ++children;
      below += child.size;
      const auto found = knomial_tree::find(child.root, root, p, radix);
      ASSERT_EQ(found.parent, at.rank) << "root " << root << " of " << p;
      ASSERT_EQ(found.below, child);
      open.push_back({child.root, at.depth + 1, at.weight + static_cast<std::uint64_t>(child.size)});
    });
    ASSERT_EQ(below, node.below.size) << "rank " << at.rank << ", root " << root << " of " << p;
    widest = std::max(widest, children);
  }
  ASSERT_EQ(seen, p);
  const knomial_tree::Extremes extremes = knomial_tree::extremes(root, p, radix);
  ASSERT_EQ(deepest, extremes.depth) << "root " << root << " of " << p;
  ASSERT_EQ(heaviest, extremes.heaviest) << "root " << root << " of " << p;
  ASSERT_EQ(widest, extremes.widest) << "root " << root << " of " << p;
}

TEST(KnomialTree, SpansAllRanksFromAnyRoot) {
  for (const Rank radix : {2, 3, 4, 5, 6, 8, 12, 64}) {
    for (Rank p = 1; p <= 64; ++p)
      for (Rank root = 0; root < p; ++root) ASSERT_NO_FATAL_FAILURE(check_tree(p, root, radix)) << "radix " << radix;
    for (Rank p = 65; p <= kMostRanks; p += 7)
      for (const Rank root : {Rank{0}, p / 3, p / 2, p - 1})
        ASSERT_NO_FATAL_FAILURE(check_tree(p, root, radix)) << "radix " << radix;
  }
}

TEST(Doubling, EveryReceiveHasItsSendAndEverybodyEndsWithAll) {
  for (Rank p = 1; p <= kMostRanks; ++p) {
    std::vector<doubling::Range> held;
    std::vector<std::uint64_t> sent(static_cast<std::size_t>(p), 0);
    for (Rank r = 0; r < p; ++r) held.push_back({r, 1});
    std::vector<int> rounds(static_cast<std::size_t>(p), 0);
    for (Rank r = 0; r < p; ++r)
      doubling::for_each_exchange(r, {0, p}, [&](const doubling::Exchange& x) {
        auto& mine = held[static_cast<std::size_t>(r)];
        ASSERT_EQ(mine, x.mine) << "rank " << r << " of " << p;
        mine = {std::min(x.mine.first, x.other.first), x.mine.size + x.other.size};
        ++rounds[static_cast<std::size_t>(r)];
        sent[static_cast<std::size_t>(r)] += static_cast<std::uint64_t>(x.mine.size) * (x.paired + (x.unpaired != kNoRank));
        const auto theirs = doubling::exchange(x.partner, {mine.first, mine.size});
        ASSERT_EQ(theirs.mine, x.other);
        ASSERT_TRUE(x.paired ? theirs.partner == r : theirs.unpaired == r) << "rank " << r << " of " << p;
      });
    for (Rank r = 0; r < p; ++r) ASSERT_EQ(held[static_cast<std::size_t>(r)], (doubling::Range{0, p}));
    ASSERT_EQ(*std::max_element(rounds.begin(), rounds.end()), ceil_log2(p));
    ASSERT_EQ(*std::max_element(sent.begin(), sent.end()), doubling::sent_by_busiest(p)) << p << " ranks";
    ASSERT_EQ(sent[0], doubling::sent_by_first(p));
  }
}

TEST(GroupedOrder, IsTheOrderOfRanksWhereGroupsAreRanges) {
  const std::vector<Grouping> levels{Grouping({0, 0, 1, 1, 2, 3}), Grouping({0, 0, 0, 0, 1, 1})};
  EXPECT_TRUE(GroupedOrder({.ranks = 6, .levels = &levels}).is_rank_order());
  EXPECT_TRUE(GroupedOrder({.ranks = 6}).is_rank_order());
  EXPECT_EQ(GroupedOrder({.ranks = 6}).position(4), 4);
}

TEST(GroupedOrder, BringsDealtOutGroupsTogether) {
  const std::vector<Grouping> levels{Grouping({0, 1, 2, 3, 0, 1, 2, 3}), Grouping({0, 1, 0, 1, 0, 1, 0, 1})};
  const GroupedOrder order({.ranks = 8, .levels = &levels});
  ASSERT_FALSE(order.is_rank_order());
  std::vector<Rank> ranks;
  for (Rank at = 0; at < 8; ++at) {
    ranks.push_back(order.rank_at(at));
    EXPECT_EQ(order.position(order.rank_at(at)), at);
  }
  EXPECT_EQ(ranks, (std::vector<Rank>{0, 4, 2, 6, 1, 5, 3, 7}));
}

TEST(RootedStages, TheRootLeadsEveryGroupItIsIn) {
  const std::vector<Grouping> levels{Grouping({0, 0, 1, 1, 2, 3}), Grouping({0, 0, 0, 0, 1, 1})};
  const Shape shape{.ranks = 6, .root = 3, .levels = &levels};
  const auto members = [&](std::size_t stage, Rank me) { return stages::rooted_meeting(shape, stage, me).meeting.members; };
  EXPECT_EQ(members(0, 2), (std::vector<Rank>{2, 3}));
  EXPECT_EQ(stages::rooted_meeting(shape, 0, 2).leader, 1);
  EXPECT_EQ(members(1, 0), (std::vector<Rank>{0, 3}));
  EXPECT_EQ(members(1, 3), (std::vector<Rank>{0, 3}));
  EXPECT_EQ(stages::rooted_meeting(shape, 1, 3).meeting.index, 1);
  EXPECT_EQ(members(1, 5), (std::vector<Rank>{4, 5}));
  EXPECT_EQ(stages::rooted_meeting(shape, 1, 5).leader, 0);
  EXPECT_EQ(members(2, 3), (std::vector<Rank>{3, 4}));
  EXPECT_FALSE(stages::takes_part(shape, 1, 2));
  EXPECT_TRUE(stages::takes_part(shape, 2, 3));
  EXPECT_FALSE(stages::takes_part(shape, 2, 0));
}

}  // namespace
}  // namespace tutti
