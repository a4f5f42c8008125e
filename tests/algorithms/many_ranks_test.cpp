// Rows for a few larger numbers of ranks: a power of two, one more, and an even number that is no multiple of much.
#include <gtest/gtest.h>

#include "catalog/catalog.h"

namespace tutti {
namespace {

class ManyRanks : public testing::TestWithParam<Rank> {};

TEST_P(ManyRanks, EveryRowThatMovesDataIsRight) {
  for (const Algorithm& row : algorithms()) {
    if (reduces(row.collective) || !applies(row, GetParam())) continue;
    const auto summary =
        verify_algorithm(row, GetParam(), {.pieces = {1}, .places = Places::out_of_place, .all_roots_up_to = 0, .fused = false});
    ASSERT_TRUE(summary) << summary.error().to_string();
    EXPECT_GT(summary->steps, 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Sample, ManyRanks, testing::Values(128, 129, 190, 1024), testing::PrintToStringParamName());

}  // namespace
}  // namespace tutti
