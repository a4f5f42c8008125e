// Peer arithmetic, for every number of ranks up to 1,000.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "algorithms/patterns/arc.h"
#include "algorithms/patterns/circulant.h"
#include "algorithms/patterns/double_tree.h"
#include "algorithms/patterns/folding.h"
#include "algorithms/patterns/kary_tree.h"
#include "algorithms/patterns/piece_schedule.h"
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

// The greedy choice of a factor leaves nothing out that has only small prime factors.
bool has_only_factors_up_to(Rank radix, Rank number) {
  for (Rank f = 2; f <= radix; ++f)
    while (number % f == 0) number /= f;
  return number == 1;
}

TEST(Factors, AreOfTheNumberOrNearIt) {
  for (const Rank radix : {2, 3, 4, 5, 6, 8, 12, 64})
    for (Rank p = 1; p <= kMostRanks; ++p) {
      const Factors of = factors_of(p, radix), within = factors_within(p, radix), covering = factors_covering(p, radix);
      for (const Factors& factors : {of, within, covering}) {
        Rank product = 1;
        for (const Rank f : factors) {
          ASSERT_TRUE(f >= 2 && f <= radix);
          product *= f;
        }
        ASSERT_EQ(product, factors.product());
      }
      ASSERT_EQ(of.product() == p, has_only_factors_up_to(radix, p)) << p << ", radix " << radix;
      ASSERT_TRUE(within.product() <= p && 2 * within.product() > p) << p << ", radix " << radix;
      ASSERT_GE(covering.product(), p);
      if (of.product() == p)
        ASSERT_TRUE(within == of && covering == of);
      else
        ASSERT_EQ(covering.size(), static_cast<std::size_t>(ceil_log(p, radix))) << p << ", radix " << radix;
    }
}

void check_folding(Rank p, Rank radix) {
  const Folding folding(p, radix);
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

TEST(Folding, CoresStandForContiguousRangesOfOneOrTwo) {
  for (const Rank radix : {2, 3, 4, 6, 8, 64})
    for (Rank p = 1; p <= kMostRanks; ++p) ASSERT_NO_FATAL_FAILURE(check_folding(p, radix)) << p << ", radix " << radix;
}

// Tries all pairs of a core with a pair and any other.
TEST(Folding, AChainThatChangesEveryDigitEndsNoFurtherToTheFront) {
  for (const Rank radix : {2, 3, 4, 6, 8})
    for (Rank p = 1; p <= 200; ++p) {
      const Folding folding(p, radix);
      if (folding.extra() == 0) continue;
      const auto all_differ = [&](Rank a, Rank b) {
        for (const Rank f : folding.factors()) {
          if (a % f == b % f) return false;
          a /= f, b /= f;
        }
        return true;
      };
      Rank lowest = folding.cores();
      for (Rank start = 0; start < folding.extra(); ++start)
        for (Rank end = 0; end < lowest; ++end)
          if (all_differ(start, end)) lowest = end;
      ASSERT_EQ(folding.lowest_end_of_chain(), lowest) << p << ", radix " << radix;
    }
}

TEST(KaryTree, SpansAllRanks) {
  for (const Rank radix : {2, 3, 4, 7, 64})
    for (Rank p = 1; p <= kMostRanks; ++p) {
      std::vector<std::uint64_t> depth(static_cast<std::size_t>(p), 0);
      Rank next = 1;
      std::uint64_t most = 0;
      for (Rank v = 0; v < p; ++v) {
        std::uint64_t children = 0;
        kary_tree::for_each_child(v, p, radix, [&](Rank child) {
          ASSERT_EQ(child, next++);
          ASSERT_EQ(kary_tree::parent(child, radix), v);
          depth[static_cast<std::size_t>(child)] = depth[static_cast<std::size_t>(v)] + 1;
          ++children;
        });
        most = std::max(most, children);
      }
      ASSERT_EQ(next, p);
      ASSERT_EQ(depth.back(), kary_tree::depth(p, radix));
      ASSERT_EQ(most, kary_tree::most_children(p, radix));
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
// In any turn of q rounds a rank receives each of q consecutive pieces but for its first one, which is of the next q.
void check_received(const circulant::Received& received, Rank rank, Rank p) {
  const int turn = circulant::rounds(p), first = circulant::first_piece(rank, p);
  std::vector<bool> seen(static_cast<std::size_t>(turn), false);
  for (int i = 0; i < turn; ++i) {
    const int piece = received[i] == first ? first : received[i] + turn;
    ASSERT_TRUE(piece >= 0 && piece < turn && !seen[static_cast<std::size_t>(piece)]) << "round " << i;
    ASSERT_TRUE(received[i] < 0 || received[i] == first) << "round " << i;
    seen[static_cast<std::size_t>(piece)] = true;
  }
}

// What `peer` receives in a round `rank` has received before: earlier in this turn, or in the turn before.
bool has_what_it_sends(const circulant::Received& rank, const circulant::Received& peer, int round, int turn) {
  for (int i = 0; i < turn; ++i)
    if ((i < round && rank[i] == peer[round]) || rank[i] - turn == peer[round]) return true;
  return false;
}

TEST(PieceSchedule, EveryRankReceivesEveryPieceOnceFromOneThatHasIt) {
  std::vector<Rank> numbers{4095, 4096, 4097, 65537, 100'000};
  for (Rank p = 2; p <= kMostRanks; ++p) numbers.push_back(p);
  for (const Rank p : numbers) {
    const int turn = circulant::rounds(p);
    std::vector<circulant::Received> received;
    for (Rank r = 0; r < p; ++r) received.emplace_back(r, p);
    for (Rank r = 0; r < p; ++r) {
      const auto& mine = received[static_cast<std::size_t>(r)];
      if (r > 0) {
        ASSERT_NO_FATAL_FAILURE(check_received(mine, r, p)) << r << " of " << p;
      }
      for (int i = 0; i < turn; ++i) {
        const Rank to = ring::shift(r, circulant::skip(p, i), p);
        const auto& peer = received[static_cast<std::size_t>(to)];
        if (to == 0) continue;  // the root, which receives nothing
        ASSERT_TRUE(r == 0 ? peer[i] == i : has_what_it_sends(mine, peer, i, turn))
            << "rank " << r << " of " << p << ", round " << i;
      }
    }
  }
}

TEST(PieceSchedule, KnowsTheLongestGreedyPath) {
  for (Rank p = 1; p <= kMostRanks; ++p) {
    std::uint64_t longest = 0;
    for (Rank r = 0; r < p; ++r) {
      std::uint64_t skips = 0;
      for (Rank left = r, i = circulant::rounds(p); i-- > 0;)
        if (circulant::skip(p, i) <= left) left -= circulant::skip(p, i), ++skips;
      longest = std::max(longest, skips);
    }
    ASSERT_EQ(circulant::most_skips(p), longest) << p << " ranks";
  }
}

TEST(PieceSchedule, TheLastRoundBringsTheLastPieceAndRoundsGoBothWays) {
  for (const Rank p : {1, 2, 3, 5, 8, 11, 64, 100})
    for (std::uint32_t pieces = 1; pieces <= 20; ++pieces)
      for (Rank r = 0; r < p; ++r) {
        std::vector<std::int64_t> there, back;
        circulant::for_each_round(r, p, pieces, false, [&](const auto& round) { there.push_back(round.received); });
        circulant::for_each_round(r, p, pieces, true, [&](const auto& round) { back.push_back(round.received); });
        ASSERT_EQ(there.size(), p == 1 ? 0 : pieces - 1 + static_cast<std::size_t>(circulant::rounds(p)));
        std::ranges::reverse(back);
        ASSERT_EQ(there, back);
        std::erase(there, circulant::kNoPiece);
        std::ranges::sort(there);
        for (std::size_t i = 0; i < there.size(); ++i) ASSERT_EQ(there[i], static_cast<std::int64_t>(i)) << r << " of " << p;
        ASSERT_EQ(there.size(), r == 0 ? 0 : pieces);
      }
}

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
