// Every row of the table, for every number of ranks up to 64: verified before and after the passes, in and out of place, with its
// declared cost (see src/verify/catalog). From 65 to 128 ranks: many_ranks_test.cpp.
#include "rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "schedule/passes.h"

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

// Whether every combining step of every rank takes in all contributions, once the schedules are fused.
bool meets_at_once(const Algorithm& a, Rank ranks, bool in_place, std::uint32_t pieces) {
  const auto partial = [&](const Step& step) {
    if (step.kind == StepKind::reduce || step.kind == StepKind::recv_reduce) return ranks != 2;
    return step.kind == StepKind::fold && step.operand_end - step.operand_begin != static_cast<std::uint32_t>(ranks);
  };
  std::vector<int> pairs(static_cast<std::size_t>(ranks));
  for (std::size_t r = 0; r < pairs.size(); ++r) pairs[r] = static_cast<int>(r / 2);
  const std::vector<Grouping> levels{Grouping(pairs)};
  for (Rank me = 0; me < ranks; ++me) {
    const Shape shape{.ranks = ranks, .in_place = in_place, .levels = &levels};
    if (std::ranges::any_of(fuse(a.build(me, shape, {.pieces = pieces})).steps, partial)) return false;
  }
  return true;
}

TEST_P(Row, SaysWhetherAllContributionsMeetAtOnce) {
  const Algorithm& a = *GetParam();
  if (a.collective != Collective::all_reduce && a.collective != Collective::reduce &&
      a.collective != Collective::reduce_scatter) {
    EXPECT_FALSE(a.meets_at_once) << "nothing meets, or not all";
    return;
  }
  bool always = true;
  for (const Rank p : {1, 2, 3, 4, 7, 8, 16, 33, 64})
    for (const bool in_place : {false, true})
      for (const std::uint32_t pieces : {1U, a.pipelines ? 3U : 1U})
        if (applies(a, p)) {
          EXPECT_TRUE(p > 2 || meets_at_once(a, p, in_place, pieces)) << "two can only meet at once";
          always &= meets_at_once(a, p, in_place, pieces);
        }
  EXPECT_EQ(always, a.meets_at_once);
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
