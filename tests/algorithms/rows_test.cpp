// Every row of the table, for every number of ranks up to 64: verified before and after the passes, in and out of place, with its
// declared cost (see src/verify/catalog). From 65 to 128 ranks: many_ranks_test.cpp.
#include "rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "schedule/passes.h"
#include "verify/verify.h"

namespace tutti {
namespace {

TEST_P(Row, IsRightForEveryNumberOfRanks) {
  for (Rank p = 1; p <= 64; ++p) {
    if (!applies(*GetParam(), p)) continue;
    const auto pieces =
        p <= 24 ? std::vector<std::uint32_t>{1, 3} : std::vector<std::uint32_t>{GetParam()->pipelines ? 1U + p % 3 : 1U};
    const CatalogOptions options{
        .pieces = pieces, .radices = p <= 16 ? all_radices() : some_radices(p), .all_roots_up_to = p <= 12 ? Rank{12} : Rank{0}};
    const auto summary = verify_algorithm(*GetParam(), p, options);
    ASSERT_TRUE(summary) << summary.error().to_string();
    EXPECT_GT(summary->sets, 0U);
  }
}

// How contributions meet, once the schedules are fused.
ReductionOrder order_of(const Algorithm& a, Rank ranks, bool in_place, std::uint32_t pieces) {
  std::vector<int> pairs(static_cast<std::size_t>(ranks));
  for (std::size_t r = 0; r < pairs.size(); ++r) pairs[r] = static_cast<int>(r / 2);
  const std::vector<Grouping> levels{Grouping(pairs)};
  const Shape shape{.ranks = ranks, .in_place = in_place, .levels = &levels};
  std::vector<Schedule> schedules;
  for (Rank me = 0; me < ranks; ++me) schedules.push_back(fuse(a.build(me, shape, {.pieces = pieces})));
  const auto proof = verify(schedules);
  EXPECT_TRUE(proof) << proof.error().to_string();
  return proof ? proof->order : ReductionOrder{};
}

TEST_P(Row, SaysWhetherAllContributionsMeetAtOnce) {
  const Algorithm& a = *GetParam();
  if (!reduces(a.collective)) {
    EXPECT_FALSE(a.meets_at_once) << "nothing meets";
    return;
  }
  if (a.needs.routes != RouteKind::none) {
    EXPECT_FALSE(a.meets_at_once) << "no rings or trees are made up here";
    return;
  }
  bool always = true;
  for (const Rank p : {1, 2, 3, 4, 7, 8, 16, 33, 64})
    for (const bool in_place : {false, true})
      for (const std::uint32_t pieces : {1U, a.pipelines ? 3U : 1U})
        if (applies(a, p)) {
          const ReductionOrder order = order_of(a, p, in_place, pieces);
          EXPECT_TRUE(p > 2 || (order.at_once && order.canonical)) << "two can only meet at once";
          EXPECT_TRUE(order.canonical || !a.meets_at_once) << "at once, but not in the order of ranks";
          always &= order.at_once;
        }
  EXPECT_EQ(always, a.meets_at_once);
}

// Else they would be compared with nothing, and priced as if all were of one size.
TEST_P(Row, DeclaresHowManyMessagesTheBusiestRankHas) {
  const std::vector<Grouping> levels{Grouping({0, 0, 1, 1, 2, 2, 3, 3})};
  const Cost cost = GetParam()->cost({.ranks = 8, .levels = &levels}, {});
  for (const LevelCost& level : cost.levels) EXPECT_EQ(level.posted > 0, level.rounds > 0) << "level " << level.level;
}

INSTANTIATE_TEST_SUITE_P(Algorithms, Row, testing::ValuesIn(rows()), row_name);

// With fewer pieces than rounds, as many, and more: their schedules differ most there.
TEST(Circulant, BroadcastAndReduceAreRightForManyNumbersOfPieces) {
  for (const Collective collective : {Collective::broadcast, Collective::reduce})
    for (Rank p = 2; p <= 40; p += p < 20 ? 1 : 5) {
      const CatalogOptions options{.pieces = {2, 4, 5, 6, 7, 9, 16, 31}, .places = Places::out_of_place, .all_roots_up_to = 0};
      const auto summary = verify_algorithm(*find_algorithm(collective, "circulant"), p, options);
      ASSERT_TRUE(summary) << summary.error().to_string();
    }
}

TEST(Registry, NamesEachRowOnceAndFindsIt) {
  for (const Algorithm& a : algorithms()) {
    EXPECT_EQ(find_algorithm(a.collective, a.name), &a);
    EXPECT_FALSE(a.summary.empty());
    EXPECT_FALSE(a.source.empty());
  }
  EXPECT_EQ(find_algorithm(Collective::all_reduce, "no such"), nullptr);
}

TEST(Registry, SchedulesCarryTheRowsName) {
  for (const Algorithm& a : algorithms()) {
    const Rank p = a.needs.power_of_two ? 8 : 6;
    if (!applies(a, p)) continue;
    const std::vector<Grouping> levels{
        Grouping(p == 8 ? std::vector<int>{0, 0, 1, 1, 2, 2, 3, 3} : std::vector<int>{0, 0, 1, 1, 2, 2})};
    const Schedule s = a.build(1, {.ranks = p, .levels = &levels}, {});
    EXPECT_EQ(s.algorithm, a.name);
    EXPECT_EQ(s.collective, a.collective);
    EXPECT_EQ(s.rank, 1);
    EXPECT_EQ(s.ranks, p);
  }
}

}  // namespace
}  // namespace tutti
