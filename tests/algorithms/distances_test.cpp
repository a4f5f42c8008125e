// Peers at alternating distances: Swing and Bine trees.
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "algorithms/patterns/bine_tree.h"
#include "algorithms/patterns/knomial_tree.h"
#include "algorithms/patterns/negabinary.h"
#include "algorithms/patterns/swing.h"
#include "algorithms/patterns/swing_slots.h"

namespace tutti {
namespace {

constexpr Rank kMostRanks = 600;

std::uint64_t distance(Rank a, Rank b, Rank ranks) {
  const Rank apart = std::abs(a - b);
  return static_cast<std::uint64_t>(std::min(apart, ranks - apart));
}

TEST(Negabinary, PeersMeetAndTheirRunsLieSideBySide) {
  for (Rank p = 2; p <= kMostRanks; p += 2)
    for (int step = 0; step < negabinary::steps(p); ++step)
      for (Rank r = 0; r < p; ++r) {
        const Rank peer = negabinary::peer(r, step, p);
        ASSERT_EQ(negabinary::peer(peer, step, p), r) << p << " ranks, step " << step;
        ASSERT_NE(negabinary::peer_is_behind(r, step), negabinary::peer_is_behind(peer, step));
        const Arc mine = negabinary::reach(r, step, p), theirs = negabinary::reach(peer, step, p);
        const Arc& first = negabinary::peer_is_behind(r, step) ? mine : theirs;
        const Arc& second = negabinary::peer_is_behind(r, step) ? theirs : mine;
        ASSERT_EQ(ring::shift(first.first, first.size, p), second.first) << p << " ranks, step " << step;
        ASSERT_LT(ring::shift(r, -mine.first, p), mine.size);
      }
}

// The set of ranks that have a rank's block, step by step, from far to near.
TEST(Negabinary, KnownFromIsWhatHasSpread) {
  for (Rank p = 2; p <= kMostRanks; p += 2) {
    std::set<Rank> have{0};
    for (int step = negabinary::steps(p) - 1; step >= 0; --step) {
      std::set<Rank> more;
      for (const Rank r : have) more.insert(negabinary::peer(r, step, p));
      have.merge(more);
      ASSERT_EQ(have.size(), static_cast<std::size_t>(negabinary::known_from(step, p))) << p << " ranks, step " << step;
    }
    ASSERT_EQ(have.size(), static_cast<std::size_t>(p));
  }
}

TEST(BineTree, SpansAllRanksFromAnyRoot) {
  for (Rank p = 1; p <= kMostRanks; ++p)
    for (const Rank root : std::set<Rank>{0, 1 % p, p / 3, p / 2, p - 1}) {
      Rank seen = 0;
      std::size_t levels = 0;
      for (std::vector<Rank> level{root}; !level.empty(); ++levels) {
        std::vector<Rank> next;
        for (const Rank r : level) {
          ++seen;
          const bine_tree::Node node(r, root, p);
          Rank below = 1;
          node.for_each_child([&](Rank child, Arc arc) {
            const bine_tree::Node found(child, root, p);
            ASSERT_EQ(found.parent(), r) << p << " ranks, root " << root;
            ASSERT_EQ(found.below().first, arc.first);
            ASSERT_EQ(found.below().size, arc.size);
            below += arc.size;
            next.push_back(child);
          });
          ASSERT_EQ(below, node.below().size) << "rank " << r << " of " << p;
        }
        level = std::move(next);
      }
      ASSERT_EQ(seen, p);
      ASSERT_EQ(levels, knomial_tree::extremes(0, p).depth + 1);
    }
}

// For powers of two, it is the paper's tree: what is below a rank are those that it reaches by the steps below that of its
// parent.
TEST(BineTree, EdgesAreAThirdShorter) {
  for (Rank p = 2; p <= 1024; p *= 2) {
    std::uint64_t bine = 0, binomial = 0;
    for (Rank r = 1; r < p; ++r) {
      const bine_tree::Node node(r, 0, p);
      const int step = floor_log2(node.below().size);
      ASSERT_EQ(node.parent(), negabinary::peer(r, step, p)) << "rank " << r << " of " << p;
      ASSERT_EQ(node.below().first, negabinary::reach(r, step, p).first);
      bine += distance(r, node.parent(), p);
      binomial += distance(r, r & (r - 1), p);
    }
    EXPECT_TRUE(p < 64 || bine * 100 <= binomial * 71) << p << " ranks: " << bine << " and " << binomial;
  }
}

// Everybody combines in the same way, so everybody gets the same bits.
TEST(Swing, FarToNearAllRanksCombineAlike) {
  const std::vector<std::vector<Rank>> tori{{}, {2}, {8}, {4, 4}, {2, 8}, {4, 2, 8}};
  for (const auto& torus : tori) {
    Rank p = torus.empty() ? 32 : 1;
    for (const Rank size : torus) p *= size;
    const Swing swing({.ranks = p, .torus = torus});
    std::vector<std::string> values;
    for (Rank r = 0; r < p; ++r) values.push_back(std::to_string(r));
    const auto steps = swing.steps(0);
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
      std::vector<std::string> sums;
      for (Rank r = 0; r < p; ++r) {
        const Rank peer = swing.peer(r, 0, *step);
        ASSERT_EQ(swing.peer(peer, 0, *step), r);
        const bool mine_on_the_right = swing.in_second_half(r, 0, *step);
        const Rank left = mine_on_the_right ? peer : r, right = mine_on_the_right ? r : peer;
        sums.push_back("(" + values[static_cast<std::size_t>(left)] + "+" + values[static_cast<std::size_t>(right)] + ")");
      }
      values = std::move(sums);
    }
    for (const auto& value : values) ASSERT_EQ(value, values.front());
  }
}

TEST(Swing, HalvesMeetInTheirStepOnly) {
  const std::vector<std::vector<Rank>> tori{{}, {2}, {16}, {4, 4}, {2, 8}, {4, 2, 4}};
  for (const auto& torus : tori) {
    Rank p = torus.empty() ? 64 : 1;
    for (const Rank size : torus) p *= size;
    const Swing swing({.ranks = p, .torus = torus});
    ASSERT_EQ(swing.parts(), torus.empty() ? 1U : 2 * torus.size());
    for (std::uint32_t part = 0; part < swing.parts(); ++part) {
      const auto steps = swing.steps(part);
      std::set<std::vector<bool>> labels;
      for (Rank r = 0; r < p; ++r) {
        std::vector<bool> label;
        for (const auto& step : steps) label.push_back(swing.in_second_half(r, part, step));
        labels.insert(label);
        for (std::size_t s = 0; s < steps.size(); ++s) {
          const Rank peer = swing.peer(r, part, steps[s]);
          ASSERT_NE(swing.in_second_half(peer, part, steps[s]), label[s]);
          for (std::size_t before = 0; before < s; ++before)
            ASSERT_EQ(swing.in_second_half(peer, part, steps[before]), label[before]) << "rank " << r << " of " << p;
        }
      }
      ASSERT_EQ(labels.size(), static_cast<std::size_t>(p));
    }
  }
}

TEST(Swing, GoesRoundTheDimensions) {
  const std::vector<Rank> torus{8, 1, 2};
  const Swing swing({.ranks = 16, .torus = torus});
  ASSERT_EQ(swing.parts(), 4U);
  const auto path = [&](std::uint32_t part) {
    std::vector<std::pair<std::size_t, int>> steps;
    for (const auto& step : swing.steps(part)) steps.emplace_back(step.dimension, step.number);
    return steps;
  };
  using Path = std::vector<std::pair<std::size_t, int>>;
  EXPECT_EQ(path(0), (Path{{0, 0}, {1, 0}, {0, 1}, {0, 2}}));
  EXPECT_EQ(path(2), (Path{{1, 0}, {0, 0}, {0, 1}, {0, 2}}));
  EXPECT_EQ(swing.peer(0, 0, {0, 0}), 2);
  EXPECT_EQ(swing.peer(0, 1, {0, 0}), 14) << "the second part goes the other way";
}

TEST(Swing, ATorusWithAnOddDimensionIsOneRing) {
  const std::vector<Rank> torus{3, 4};
  const Swing swing({.ranks = 12, .torus = torus});
  EXPECT_EQ(swing.parts(), 1U);
}

TEST(SwingSlots, HoldEveryBlockOnceAndPeersAgree) {
  const std::vector<std::vector<Rank>> tori{{}, {6}, {10, 4}, {6, 2, 6}};
  for (const auto& torus : tori) {
    Rank p = torus.empty() ? 44 : 1;
    for (const Rank size : torus) p *= size;
    const Swing swing({.ranks = p, .torus = torus});
    for (std::uint32_t part = 0; part < swing.parts(); ++part) {
      const SwingSlots slots(swing, part);
      ASSERT_EQ(slots.slots(), static_cast<std::uint32_t>(p));
      for (Rank r = 0; r < p; ++r) {
        std::set<std::uint32_t> blocks;
        for (std::uint32_t slot = 0; slot < slots.slots(); ++slot) blocks.insert(slots.block(slot, r));
        ASSERT_EQ(blocks.size(), static_cast<std::size_t>(p));
        ASSERT_EQ(slots.block(0, r), static_cast<std::uint32_t>(r));
        for (const auto& round : slots.rounds()) {
          std::uint32_t arrival = round.received.first;
          for (const auto& run : round.sent)
            for (std::uint32_t slot = run.first; slot < run.first + run.count; ++slot)
              ASSERT_EQ(slots.block(slot, swing.peer(r, part, round.step)), slots.block(arrival++, r));
          ASSERT_EQ(arrival, round.received.first + round.received.count);
        }
      }
    }
  }
}

}  // namespace
}  // namespace tutti
