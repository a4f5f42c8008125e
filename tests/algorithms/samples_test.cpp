// Every row of the table for a sample of large numbers of ranks, up to 4,096 where the schedules of all ranks stay small enough.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "catalog/catalog.h"
#include "rows.h"

namespace tutti {
namespace {

// All steps of all ranks together, roughly, on the machine that makes most of them; and all chunks where there are many machines.
std::size_t size_of_all(const Algorithm& algorithm, Rank p) {
  const std::vector<Grouping> levels{Grouping(std::vector<int>(static_cast<std::size_t>(p), 0))};
  std::size_t most = 0;
  for (const Rank r : {0, 1, p / 2}) {
    const Schedule s = algorithm.build(r, {.ranks = p, .levels = &levels}, {});
    const std::size_t chunks = algorithm.needs.levels ? output_chunks(s.collective, p, s.chunks_per_block) : 0;
    most = std::max(most, s.steps.size() + chunks);
  }
  return most * static_cast<std::size_t>(p);
}

TEST_P(Row, IsRightForASampleOfLargeNumbers) {
  // Where each rank has steps for each other one, these are some 200 ranks. Rows with levels are tried on many machines.
  const std::size_t most = GetParam()->needs.levels ? 60'000 : 250'000;
  Rank largest = 0;
  for (const Rank p : {129, 200, 256, 257, 511, 512, 1000, 1023, 1024, 2047, 2048, 4095, 4096}) {
    if (!applies(*GetParam(), p) || size_of_all(*GetParam(), p) > most) continue;
    const CatalogOptions options{.pieces = {1},
                                 .radices = some_radices(p),
                                 .places = p % 2 == 0 ? Places::out_of_place : Places::in_place,
                                 .all_roots_up_to = 0};
    const auto summary = verify_algorithm(*GetParam(), p, options);
    ASSERT_TRUE(summary) << summary.error().to_string();
    largest = p;
  }
  EXPECT_GE(largest, 96);
}

INSTANTIATE_TEST_SUITE_P(Algorithms, Row, testing::ValuesIn(rows()), row_name);

}  // namespace
}  // namespace tutti
