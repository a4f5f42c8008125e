// Every row of the table for a sample of large numbers of ranks, up to 4,096 where the schedules of all ranks stay small enough.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "catalog/catalog.h"
#include "rows.h"

namespace tutti {
namespace {

// Of all ranks together, roughly, on the machine that makes most of them.
struct Size {
  std::size_t steps = 0, chunks = 0;
};
Size size_of_all(const Algorithm& algorithm, Rank p) {
  const std::vector<Grouping> levels{Grouping(std::vector<int>(static_cast<std::size_t>(p), 0))};
  Size most;
  for (const Rank r : {0, 1, p / 2}) {
    const Schedule s = algorithm.build(r, {.ranks = p, .levels = &levels}, {});
    most.steps = std::max(most.steps, s.steps.size());
    most.chunks = std::max<std::size_t>(
        {most.chunks, input_chunks(s.collective, p, s.chunks_per_block), output_chunks(s.collective, p, s.chunks_per_block)});
  }
  return {most.steps * static_cast<std::size_t>(p), most.chunks * static_cast<std::size_t>(p)};
}

TEST_P(Row, IsRightForASampleOfLargeNumbers) {
  // Where each rank has steps for each other one, these are some 200 ranks; where it has chunks, some 1,000, and else all that
  // are tried. Rows with levels are proved on many machines.
  const bool many_machines = GetParam()->needs.levels;
  const Size most{many_machines ? 100'000UL : 250'000UL, many_machines ? 100'000UL : 1'100'000UL};
  Rank largest = 0;
  for (const Rank p : {129, 200, 256, 257, 511, 512, 1000, 1023, 1024, 2047, 2048, 4095, 4096}) {
    if (!applies(*GetParam(), p)) continue;
    if (const Size size = size_of_all(*GetParam(), p); size.steps > most.steps || size.chunks > most.chunks) continue;
    const CatalogOptions options{.pieces = {1},
                                 .radices = some_radices(p),
                                 .places = p % 2 == 0 ? Places::out_of_place : Places::in_place,
                                 .all_roots_up_to = 0};
    const auto summary = verify_algorithm(*GetParam(), p, options);
    ASSERT_TRUE(summary) << summary.error().to_string();
    largest = p;
  }
  RecordProperty("largest", largest);
  EXPECT_GE(largest, 129);
}

INSTANTIATE_TEST_SUITE_P(Algorithms, Row, testing::ValuesIn(rows()), row_name);

}  // namespace
}  // namespace tutti
