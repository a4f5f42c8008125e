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

// Plays the exchanges of one rank: it must send just what it had before the round, and end with all. Returns what it sends.
void check_exchanges(Rank r, Rank p, Rank radix, std::uint64_t& sent, std::uint64_t& rounds) {
  doubling::Range mine{r, 1}, joined = mine;
  Rank blocks = 1;
  sent = rounds = 0;
  doubling::for_each_exchange(r, {0, p}, radix, [&](const doubling::Exchange& x) {
    if (x.mine != mine || rounds == 0) {
      ASSERT_EQ(joined.size, blocks) << "other parts lie side by side";
      ASSERT_EQ(x.mine, joined);
      mine = joined;
      ++rounds;
    }
    joined.size = std::max(joined.first + joined.size, x.other.first + x.other.size) - std::min(joined.first, x.other.first);
    joined.first = std::min(joined.first, x.other.first);
    blocks += x.other.size;
    sent += static_cast<std::uint64_t>(x.mine.size) * (x.paired + (x.unpaired != kNoRank));
    const auto theirs = doubling::exchange(x.partner, x.other, x.mine);
    ASSERT_TRUE(x.paired ? theirs.partner == r : theirs.unpaired == r);
  });
  ASSERT_EQ(joined, (doubling::Range{0, p}));
  ASSERT_EQ(blocks, p);
}

TEST(Doubling, EveryReceiveHasItsSendAndEverybodyEndsWithAll) {
  for (const Rank radix : {2, 3, 4, 5, 8, 64})
    for (Rank p = 1; p <= kMostRanks; p += p < 100 || radix == 2 ? 1 : 7) {
      std::uint64_t most_sent = 0, most_rounds = 0;
      for (Rank r = 0; r < p; ++r) {
        std::uint64_t sent = 0, rounds = 0;
        ASSERT_NO_FATAL_FAILURE(check_exchanges(r, p, radix, sent, rounds)) << "rank " << r << " of " << p << ", radix " << radix;
        const std::uint64_t by_first = doubling::sent(p, factors_covering(p, radix), doubling::Counted::blocks).of_size.first;
        ASSERT_TRUE(r > 0 || sent == by_first) << p << " ranks, radix " << radix;
        most_sent = std::max(most_sent, sent);
        most_rounds = std::max(most_rounds, rounds);
      }
      ASSERT_EQ(most_rounds, doubling::rounds(p, radix)) << p << " ranks, radix " << radix;
      ASSERT_EQ(most_sent, doubling::sent_by_busiest(p, radix)) << p << " ranks, radix " << radix;
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
