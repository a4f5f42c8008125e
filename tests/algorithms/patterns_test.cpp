// Peer arithmetic, for every number of ranks up to 1,000.
#include <gtest/gtest.h>

#include <vector>

#include "algorithms/patterns/arc.h"
#include "algorithms/patterns/binomial.h"
#include "algorithms/patterns/circulant.h"
#include "algorithms/patterns/double_tree.h"
#include "algorithms/patterns/folding.h"
#include "algorithms/patterns/ring.h"
#include "algorithms/patterns/shifted_trees.h"
#include "algorithms/patterns/stages.h"

namespace tutti {
namespace {

constexpr Rank kMostRanks = 1000;

TEST(Logarithm, BoundsItsArgument) {
  for (Rank p = 1; p <= kMostRanks; ++p) {
    ASSERT_LE(1 << floor_log2(p), p);
    ASSERT_GT(2 << floor_log2(p), p);
    ASSERT_GE(1 << ceil_log2(p), p);
    ASSERT_LT((1 << ceil_log2(p)) / 2, p);
  }
}

TEST(Ring, LeftUndoesRight) {
  for (Rank p = 1; p <= kMostRanks; ++p)
    for (Rank r = 0; r < p; ++r) {
      ASSERT_EQ(ring::left(ring::right(r, p), p), r);
      ASSERT_EQ(ring::shift(r, -3 * p - 1, p), ring::left(r, p));
      ASSERT_EQ(ring::right(r, p), r + 1 == p ? 0 : r + 1);
    }
}

TEST(Binomial, ChildrenCoverTheSubtreeBehindTheirParent) {
  for (Rank p = 1; p <= kMostRanks; ++p) {
    int deepest = 0;
    std::vector<int> depth(static_cast<std::size_t>(p), 0);
    for (Rank v = 0; v < p; ++v) {
      Rank next = v + 1;
      for (int k = 0; k < binomial::children(v, p); ++k) {
        const Rank c = binomial::child(v, k);
        ASSERT_EQ(c, next) << "rank " << v << " of " << p;
        ASSERT_EQ(binomial::parent(c), v);
        next += binomial::subtree(c, p);
        depth[static_cast<std::size_t>(c)] = depth[static_cast<std::size_t>(v)] + 1;
        deepest = std::max(deepest, depth[static_cast<std::size_t>(c)]);
      }
      ASSERT_EQ(next, v + binomial::subtree(v, p)) << "rank " << v << " of " << p;
    }
    ASSERT_EQ(deepest, binomial::depth(p));
  }
}

// Plays the levels and returns the ranges of contributions that meet, checking that neighbours do.
void play_ordered_reduction(Rank p, Rank root) {
  std::vector<Rank> begin(static_cast<std::size_t>(p)), end(static_cast<std::size_t>(p));
  for (Rank r = 0; r < p; ++r) begin[static_cast<std::size_t>(r)] = r, end[static_cast<std::size_t>(r)] = r + 1;
  for (int level = 0; level < ceil_log2(p); ++level)
    for (Rank r = 0; r < p; ++r) {
      if (binomial::hands_on_at(r, p, root) != level) continue;
      const Rank to = binomial::holder(r >> (level + 1) << (level + 1), level + 1, root);
      const auto from = static_cast<std::size_t>(r), at = static_cast<std::size_t>(to);
      ASSERT_GT(binomial::hands_on_at(to, p, root), level);
      ASSERT_EQ(binomial::sibling_begin(to, level), r);
      ASSERT_TRUE(end[from] == begin[at] || begin[from] == end[at]) << "rank " << r << " of " << p << ", root " << root;
      begin[at] = std::min(begin[at], begin[from]);
      end[at] = std::max(end[at], end[from]);
    }
  ASSERT_EQ(begin[static_cast<std::size_t>(root)], 0);
  ASSERT_EQ(end[static_cast<std::size_t>(root)], p);
}

TEST(Binomial, AnyRootGathersContiguousRanges) {
  for (Rank p = 1; p <= kMostRanks; ++p)
    for (const Rank root : {Rank{0}, 1 % p, p / 3, p / 2, p - 1}) ASSERT_NO_FATAL_FAILURE(play_ordered_reduction(p, root));
}

TEST(Folding, CoresStandForContiguousRangesOfOneOrTwo) {
  for (Rank p = 1; p <= kMostRanks; ++p) {
    const Folding folding(p);
    ASSERT_EQ(folding.rank(0), 0);
    ASSERT_EQ(folding.rank(folding.cores()), p);
    for (Rank c = 0; c < folding.cores(); ++c) {
      const Rank r = folding.rank(c), stands_for = folding.rank(c + 1) - r;
      ASSERT_EQ(folding.core(r), c);
      ASSERT_EQ(stands_for, folding.partner(r) == kNoRank ? 1 : 2);
      if (stands_for == 1) continue;
      ASSERT_EQ(folding.partner(r), r + 1);
      ASSERT_EQ(folding.partner(r + 1), r);
      ASSERT_EQ(folding.core(r + 1), kNoRank);
    }
  }
}

TEST(DoubleTree, BothTreesSpanAllRanks) {
  for (Rank p = 1; p <= kMostRanks; ++p)
    for (const int tree : {0, 1}) {
      const Rank root = double_tree::root(tree, p);
      ASSERT_EQ(double_tree::node(tree, root, p).parent, kNoRank);
      std::vector<Rank> level{root};
      Rank seen = 0;
      int levels = 0;
      for (; !level.empty(); ++levels) {
        std::vector<Rank> next;
        for (const Rank r : level) {
          ++seen;
          const auto node = double_tree::node(tree, r, p);
          ASSERT_TRUE(node.left != kNoRank || node.right == kNoRank);
          for (const Rank child : {node.left, node.right}) {
            if (child == kNoRank) continue;
            ASSERT_EQ(double_tree::node(tree, child, p).parent, r) << "tree " << tree << " of " << p;
            next.push_back(child);
          }
        }
        level = std::move(next);
      }
      ASSERT_EQ(seen, p);
      ASSERT_EQ(levels, double_tree::depth(p) + 1);
    }
}

TEST(DoubleTree, InnerRanksOfOneAreLeavesOfTheOther) {
  for (Rank p = 1; p <= kMostRanks; ++p)
    for (Rank r = 0; r < p; ++r) {
      const auto a = double_tree::node(0, r, p), b = double_tree::node(1, r, p);
      const bool inner_in_both = a.left != kNoRank && b.left != kNoRank;
      const bool two_chains = a.right == kNoRank && b.right == kNoRank;  // one child in each, at one rank of an odd number
      ASSERT_TRUE(!inner_in_both || (p % 2 == 1 && r == 0 && two_chains)) << "rank " << r << " of " << p;
    }
}

TEST(Arc, IsOneRangeOrTwoAndComesRoundOnce) {
  for (Rank p = 1; p <= 24; ++p)
    for (Rank start = 0; start < p; ++start)
      for (Rank size = 1; size <= p; ++size) {
        Rank next = start, seen = 0;
        int parts = 0;
        for_each_range({start, size}, p, [&](Rank first, Rank count, int part) {
          ASSERT_EQ(first, next);
          ASSERT_GT(count, 0);
          ASSERT_LE(first + count, p);
          ASSERT_EQ(part, parts++);
          next = 0;
          seen += count;
        });
        ASSERT_EQ(seen, size);
        ASSERT_EQ(parts, start + size > p ? 2 : 1);
      }
}

// A round waits for an earlier one if its message holds blocks that the earlier one has brought.
TEST(Circulant, RoundsGrowFromOneBlockToAll) {
  for (Rank p = 1; p <= kMostRanks; ++p) {
    Rank known = 1;
    std::vector<circulant::Round> grown;
    std::vector<circulant::Chain> chains;
    circulant::Chain longest;
    for (int number = circulant::rounds(p); number-- > 0;) {
      const auto round = circulant::round(p, number);
      ASSERT_EQ(round.skip, known) << p << " ranks";
      ASSERT_GE(round.size, 1);
      ASSERT_LE(round.size, known);
      circulant::Chain before;
      for (std::size_t i = 0; i < grown.size(); ++i)
        if (grown[i].skip < round.size)
          before = {std::max(before.rounds, chains[i].rounds), std::max(before.path, chains[i].path)};
      chains.push_back({before.rounds + 1, before.path + static_cast<std::uint64_t>(round.size)});
      longest = {std::max(longest.rounds, chains.back().rounds), std::max(longest.path, chains.back().path)};
      grown.push_back(round);
      known += round.size;
    }
    ASSERT_EQ(known, p);
    ASSERT_EQ(longest, circulant::longest_chain(p)) << p << " ranks";
  }
}

TEST(ShiftedTrees, EveryRoundsParentsAreThereAndAllBlocksComeOnce) {
  for (Rank p = 1; p <= kMostRanks; ++p) {
    const ShiftedTrees trees(p);
    const auto offset = [&](std::uint32_t slot) { return static_cast<Rank>((p - static_cast<Rank>(trees.block(slot, 0))) % p); };
    ASSERT_EQ(static_cast<int>(trees.rounds().size()), ceil_log2(p));
    ASSERT_EQ(offset(trees.root()), 0);
    std::vector<bool> held(static_cast<std::size_t>(p)), seen(held.size());
    held[trees.root()] = seen[0] = true;
    for (const auto& round : trees.rounds()) {
      for (std::uint32_t i = 0; i < round.count; ++i) {
        const auto parent = round.parents + i, child = round.children + i;
        ASSERT_TRUE(held[parent] && !held[child]) << p << " ranks, distance " << round.distance;
        ASSERT_EQ(offset(child), offset(parent) + round.distance);
        held[child] = seen[static_cast<std::size_t>(offset(child))] = true;
      }
    }
    ASSERT_EQ(held, std::vector<bool>(held.size(), true)) << p << " ranks";
    ASSERT_EQ(seen, held) << p << " ranks";
  }
}

TEST(Stages, LeadersMeetLevelByLevel) {
  const std::vector<Grouping> levels{Grouping({0, 0, 1, 1, 2, 3}), Grouping({0, 0, 0, 0, 1, 1})};
  const Shape shape{.ranks = 6, .levels = &levels};
  ASSERT_EQ(stages::count(shape), 3U);
  EXPECT_EQ(stages::meeting(shape, 0, 3).members, (std::vector<Rank>{2, 3}));
  EXPECT_EQ(stages::meeting(shape, 0, 3).index, 1);
  EXPECT_EQ(stages::meeting(shape, 1, 2).members, (std::vector<Rank>{0, 2}));
  EXPECT_EQ(stages::meeting(shape, 1, 4).members, (std::vector<Rank>{4, 5}));
  EXPECT_EQ(stages::meeting(shape, 2, 4).members, (std::vector<Rank>{0, 4}));
  EXPECT_EQ(stages::sizes(shape).most, (std::vector<Rank>{2, 2, 2}));
  EXPECT_FALSE(stages::sizes(shape).equal);
}

TEST(Stages, AFlatMachineHasOne) {
  const Shape shape{.ranks = 3};
  EXPECT_EQ(stages::count(shape), 1U);
  EXPECT_EQ(stages::meeting(shape, 0, 1).members, (std::vector<Rank>{0, 1, 2}));
  EXPECT_EQ(stages::sizes(shape).most, (std::vector<Rank>{3}));
  EXPECT_TRUE(stages::sizes(shape).equal);
}

}  // namespace
}  // namespace tutti
