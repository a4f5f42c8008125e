// Every row of the table, for every number of ranks from 65 to 128: verified before and after the passes, with its declared cost,
// on all made-up machines, routes and tori (see src/verify/catalog). Each number in one place, from one root and cut in one way,
// which change from one to the next so that all have their turn.
#include <gtest/gtest.h>

#include <set>

#include "catalog/catalog.h"
#include "rows.h"

namespace tutti {
namespace {

constexpr Rank kFirst = 65, kLast = 128;

template <class Choices>
auto in_turn(const Choices& choices, Rank turn) {
  return *std::next(std::begin(choices), static_cast<std::ptrdiff_t>(static_cast<std::size_t>(turn) % std::size(choices)));
}

CatalogOptions options_for(const Algorithm& row, Rank p) {
  constexpr Places kPlaces[] = {Places::out_of_place, Places::in_place, Places::every_second};
  constexpr std::uint32_t kPieces[] = {1, 2, 3};
  const Rank roots[] = {0, p - 1, p / 2, 1, p / 3};
  if (row.needs.power_of_two) return {.pieces = {1, 3}, .radices = all_radices(), .all_roots_up_to = 0};  // there is but one
  // Radices change from number to number and are nine, numbers of pieces change after six numbers, places after eighteen.
  return {.pieces = {row.pipelines ? in_turn(kPieces, p / 6) : 1},
          .radices = {row.has_radix ? in_turn(all_radices(), p) : 2},
          .places = in_turn(kPlaces, p / 18),
          .roots = {in_turn(roots, p)}};
}

TEST_P(Row, IsRightForEveryNumberOfManyRanks) {
  for (Rank p = kFirst; p <= kLast; ++p) {
    if (!applies(*GetParam(), p)) continue;
    const auto summary = verify_algorithm(*GetParam(), p, options_for(*GetParam(), p));
    ASSERT_TRUE(summary) << summary.error().to_string();
    EXPECT_GT(summary->sets, 0U) << p << " ranks";
  }
}

INSTANTIATE_TEST_SUITE_P(Algorithms, Row, testing::ValuesIn(rows()), row_name);

// What differs from one number of ranks to the next does not leave anything out.
TEST(ManyRanks, HaveEachPlaceRootAndCutInTurn) {
  const Algorithm& row = *find_algorithm(Collective::reduce, "knomial");
  std::set<std::pair<Places, std::uint32_t>> pieces, radices;
  for (Rank p = kFirst + 1; p <= kLast; p += 2) {  // rows for even numbers have all of them, too
    const CatalogOptions options = options_for(row, p);
    pieces.emplace(options.places, options.pieces.front());
    radices.emplace(options.places, options.radices.front());
  }
  EXPECT_EQ(pieces.size(), 3U * 3U);
  EXPECT_EQ(radices.size(), 3U * all_radices().size());
}

}  // namespace
}  // namespace tutti
