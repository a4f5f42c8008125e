#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>

#include "machines.h"

namespace tutti {
namespace {

using testing::HasSubstr;

// Every row of the registry against every fact it may ask for: refused exactly where the fact is missing.
TEST(Refusals, FollowFromTheRequirementsOfEachRow) {
  for (const Rank ranks : {1, 2, 6, 7, 8}) {
    for (const bool levels : {false, true}) {
      const JobMachine machine = levels ? job("node:" + std::to_string(ranks) + " core:2", 2 * ranks) : flat(ranks);
      const auto p = static_cast<unsigned>(machine.ranks);
      for (const bool commutative : {true, false}) {
        for (const bool equal : {true, false}) {
          for (const Algorithm& a : algorithms()) {
            const SelectRequest request{
                .collective = a.collective, .block_bytes = 64, .commutative = commutative, .equal_blocks = equal};
            const Selection selection = choose(request, machine);
            const Candidate* c = find(selection, a.name);
            ASSERT_NE(c, nullptr) << a.name;
            const Requirements& needs = a.needs;
            const bool able = machine.ranks >= needs.min_ranks && (!needs.power_of_two || std::has_single_bit(p)) &&
                              (!needs.even || p % 2 == 0) && (!needs.commutative || commutative) &&
                              (!needs.equal_blocks || equal) && (!needs.levels || !machine.levels.empty()) &&
                              needs.routes == RouteKind::none && !a.shortens_ways;  // neither machine is a torus or tapered
            EXPECT_EQ(c->refused.empty(), able) << name(a.collective) << " " << a.name << ", " << p << " ranks: " << c->refused;
          }
        }
      }
    }
  }
}

TEST(Refusals, SayWhy) {
  const auto why = [](const SelectRequest& request, const JobMachine& machine, std::string_view algorithm) {
    const Selection s = choose(request, machine);
    const Candidate* c = find(s, algorithm);
    return c == nullptr ? "no such candidate" : c->refused;
  };
  EXPECT_THAT(why({.collective = Collective::all_reduce, .block_bytes = 8, .commutative = false}, flat(8), "ring"),
              HasSubstr("not commutative"));
  EXPECT_THAT(why({.collective = Collective::all_reduce, .block_bytes = 8}, flat(8), "hierarchical"), HasSubstr("levels"));
  EXPECT_THAT(why({.collective = Collective::all_gather, .block_bytes = 8}, flat(7), "neighbour_exchange"),
              HasSubstr("even number of ranks; there are 7"));
}

TEST(Refusals, NeverLeaveACallWithoutAnAlgorithm) {
  for (int c = 0; c < kCollectives; ++c)
    for (const Rank ranks : {1, 2, 3, 5, 8, 13})
      for (const bool commutative : {true, false})
        for (const bool equal : {true, false}) {
          const SelectRequest request{
              .collective = static_cast<Collective>(c), .block_bytes = 100, .commutative = commutative, .equal_blocks = equal};
          if (request.collective == Collective::send_recv) continue;
          EXPECT_TRUE(choose(request, flat(ranks)).winner().refused.empty()) << name(request.collective) << " on " << ranks;
        }
}

TEST(Forced, UnknownNamesTheOthers) {
  auto s = select({.collective = Collective::broadcast, .block_bytes = 8, .forced = "helical"}, flat(4));
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code(), Code::invalid_argument);
  EXPECT_THAT(s.error().message(), HasSubstr("no algorithm \"helical\" for broadcast"));
  for (const Algorithm& a : algorithms()) {
    if (a.collective == Collective::broadcast) {
      EXPECT_THAT(s.error().message(), HasSubstr(std::string(a.name)));
    }
  }
}

TEST(Forced, NotAbleSaysWhy) {
  auto s = select({.collective = Collective::all_reduce, .block_bytes = 8, .commutative = false, .forced = "ring"}, flat(4));
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code(), Code::invalid_argument);
  EXPECT_THAT(s.error().message(), HasSubstr("all_reduce cannot be done by ring: changes the order of ranks"));
}

TEST(Forced, AbleIsTheOnlyCandidate) {
  for (const Algorithm& a : algorithms()) {
    if (a.needs.levels || a.needs.routes != RouteKind::none) continue;
    const Selection s = choose({.collective = a.collective, .block_bytes = 1 << 20, .forced = a.name}, flat(8));
    ASSERT_EQ(s.candidates.size(), 1u);
    EXPECT_EQ(s.winner().algorithm, &a);
  }
}

TEST(Forced, ParametersAreTaken) {
  const Selection radix = choose({.collective = Collective::broadcast, .block_bytes = 8, .forced = "knomial/radix=5"}, flat(8));
  EXPECT_EQ(radix.winner().chunking.radix, 5U);
  const Selection pieces = choose({.collective = Collective::all_reduce, .block_bytes = 8, .forced = "ring/pieces=7"}, flat(8));
  EXPECT_EQ(pieces.winner().chunking.pieces, 7U);
  const Selection any = choose({.collective = Collective::broadcast, .block_bytes = 8, .forced = "/radix=3"}, flat(8));
  EXPECT_TRUE(any.winner().algorithm->has_radix);
  EXPECT_EQ(any.winner().chunking.radix, 3U);
  auto misfit = select({.collective = Collective::all_reduce, .block_bytes = 8, .forced = "ring/radix=3"}, flat(8));
  ASSERT_FALSE(misfit);
  EXPECT_THAT(misfit.error().message(), HasSubstr("all_reduce cannot be done by ring/radix=3: has no radix"));
}

TEST(Forced, PiecesAreSentAndNotPublished) {
  JobMachine machine = flat(8);
  machine.boards = true;
  const SelectRequest request{.collective = Collective::all_reduce, .block_bytes = 1 << 20, .forced = "direct"};
  EXPECT_TRUE(choose(request, machine).winner().published);
  SelectRequest cut = request;
  cut.forced = "direct/pieces=4";
  EXPECT_FALSE(choose(cut, machine).winner().published);
  EXPECT_EQ(choose(cut, machine).winner().chunking.pieces, 4U);
}

TEST(Filtered, TheRestIsChosenFrom) {
  const SelectRequest request{
      .collective = Collective::all_reduce, .block_bytes = 8, .filter = "ring,halving_doubling", .filtered_by = "a test"};
  const Selection s = choose(request, flat(8));
  std::size_t left = 0;
  for (const Candidate& c : s.candidates) left += c.refused.empty() ? 1 : 0;
  EXPECT_EQ(left, 2U);
  EXPECT_EQ(s.candidates.back().refused, "filtered out by a test");
}

TEST(Filtered, NothingLeftSaysWhyOfEach) {
  auto s = select({.collective = Collective::all_reduce,
                   .block_bytes = 8,
                   .commutative = false,
                   .filter = "ring,hierarchical",
                   .filtered_by = "a test"},
                  flat(8));
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code(), Code::invalid_argument);
  EXPECT_THAT(s.error().message(), HasSubstr("ring, hierarchical: changes the order of ranks"));
  EXPECT_THAT(s.error().message(), HasSubstr(": filtered out by a test"));
  EXPECT_THAT(s.error().message(), HasSubstr("direct, two_shot, "));
}

}  // namespace
}  // namespace tutti
