#include "select/choice_table.h"

#include <gtest/gtest.h>

#include "machines.h"

namespace tutti {
namespace {

SelectRequest all_reduce_of(std::uint64_t bytes) { return {.collective = Collective::all_reduce, .block_bytes = bytes}; }

std::string chosen(ChoiceTable& table, const SelectRequest& request, const JobMachine& machine) {
  auto winner = table.choose(request, machine);
  EXPECT_TRUE(winner) << winner.error().to_string();
  return winner ? forced_name(*winner) : "";
}

std::string selected(const SelectRequest& request, const JobMachine& machine) {
  return forced_name(choose(request, machine).winner());
}

TEST(ChoiceTable, ChoosesAsIfItHadLookedAtEachSize) {
  for (const JobMachine& machine : {cluster(), flat(7), job("core:16", 16)}) {
    ChoiceTable table;
    std::size_t other = 0, all = 0;
    for (std::uint64_t bytes = 0; bytes < (1u << 26); bytes += 1 + bytes / 7, ++all)
      other += chosen(table, all_reduce_of(bytes), machine) != selected(all_reduce_of(bytes), machine) ? 1 : 0;
    EXPECT_LE(other, all / 100) << "only a way that is the best of a small range between two that choose alike may be overlooked";
    EXPECT_LT(table.size(), all) << "sizes share ranges";
  }
}

TEST(ChoiceTable, WhatItChoosesDoesNotDependOnWhatWasAskedBefore) {
  const JobMachine machine = cluster();
  ChoiceTable up, down;
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t bytes = 0; bytes < (1u << 26); bytes += 1 + bytes / 5) sizes.push_back(bytes);
  std::vector<std::string> first, second;
  for (const auto bytes : sizes) first.push_back(chosen(up, all_reduce_of(bytes), machine));
  for (auto it = sizes.rbegin(); it != sizes.rend(); ++it) second.push_back(chosen(down, all_reduce_of(*it), machine));
  std::ranges::reverse(second);
  EXPECT_EQ(first, second);
}

TEST(ChoiceTable, KeepsCallsApart) {
  const JobMachine machine = job("core:16", 16);
  ChoiceTable table;
  SelectRequest request{.collective = Collective::all_to_all, .block_bytes = 1000};
  EXPECT_EQ(chosen(table, request, machine), selected(request, machine));
  request.equal_blocks = false;
  EXPECT_EQ(chosen(table, request, machine), selected(request, machine));
  request.collective = Collective::all_reduce;
  request.commutative = false;
  EXPECT_EQ(chosen(table, request, machine), selected(request, machine));
  EXPECT_EQ(table.size(), 3U);
}

TEST(ChoiceTable, HugeSizesAndErrorsAreThoseOfTheSelection) {
  const JobMachine machine = cluster();
  ChoiceTable table;
  for (const std::uint64_t bytes : {std::uint64_t{1} << 63, ~std::uint64_t{0}})
    EXPECT_EQ(chosen(table, all_reduce_of(bytes), machine), selected(all_reduce_of(bytes), machine));
  SelectRequest request = all_reduce_of(100);
  request.forced = "no such";
  EXPECT_FALSE(ChoiceTable().choose(request, machine));
}

// It stays small, whatever a program asks.
TEST(ChoiceTable, StartsAnewWhereItWouldGrowTooLarge) {
  const JobMachine machine = flat(4);
  ChoiceTable table;
  for (Rank root = 0; root < 4; ++root)
    for (std::uint32_t element = 1; element <= 64; ++element)
      for (std::uint64_t bytes = 1; bytes < (1u << 30); bytes *= 2) {
        const SelectRequest request{
            .collective = Collective::reduce, .root = root, .block_bytes = bytes, .element_bytes = element};
        ASSERT_TRUE(table.choose(request, machine));
        ASSERT_LE(table.size(), 4096U);
      }
}

}  // namespace
}  // namespace tutti
