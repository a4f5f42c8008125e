// Every row of the table, for every number of ranks up to 64 and a sample up to 1,024: verified before and after the passes, in
// and out of place, with its declared cost (see src/verify/catalog).
#include "rows.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "catalog/catalog.h"

namespace tutti {
namespace {

TEST_P(Row, IsRightForEveryNumberOfRanks) {
  for (Rank p = 1; p <= 64; ++p) {
    if (!applies(*GetParam(), p)) continue;
    const auto pieces =
        p <= 24 ? std::vector<std::uint32_t>{1, 3} : std::vector<std::uint32_t>{GetParam()->pipelines ? 1U + p % 3 : 1U};
    const CatalogOptions options{.pieces = pieces, .all_roots_up_to = p <= 12 ? Rank{12} : Rank{0}};
    const auto summary = verify_algorithm(*GetParam(), p, options);
    ASSERT_TRUE(summary) << summary.error().to_string();
    EXPECT_GT(summary->sets, 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Algorithms, Row, testing::ValuesIn(rows()), row_name);

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
