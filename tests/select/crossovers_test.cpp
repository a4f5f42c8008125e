#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "machines.h"

namespace tutti {
namespace {

using testing::HasSubstr;

std::string_view winner(const JobMachine& machine, Collective collective, std::uint64_t bytes) {
  return choose({.collective = collective, .block_bytes = bytes}, machine).winner().algorithm->name;
}

TEST(Crossovers, AreWhereTheChoiceChanges) {
  for (const JobMachine& machine : {flat(7), cluster(), job("node:16 core:1", 16)})
    for (const Collective collective : {Collective::all_reduce, Collective::broadcast, Collective::all_gather}) {
      const auto table = crossovers({.collective = collective}, machine);
      ASSERT_FALSE(table.empty());
      EXPECT_EQ(table.front().from_bytes, 0U);
      for (std::size_t i = 0; i < table.size(); ++i) {
        EXPECT_EQ(winner(machine, collective, table[i].from_bytes), table[i].winner.algorithm->name);
        if (i == 0) continue;
        EXPECT_GT(table[i].from_bytes, table[i - 1].from_bytes);
        EXPECT_NE(winner(machine, collective, table[i].from_bytes - 1), table[i].winner.algorithm->name);
      }
      for (std::uint64_t bytes = 1; bytes <= kMostCrossoverBytes; bytes *= 2) {
        const auto after = std::ranges::upper_bound(table, bytes, {}, &Crossover::from_bytes);
        EXPECT_EQ(winner(machine, collective, bytes), std::prev(after)->winner.algorithm->name) << bytes;
      }
    }
}

TEST(Crossovers, NoneWhereNothingCanServe) {
  EXPECT_TRUE(crossovers({.collective = Collective::all_reduce, .forced = "no such thing"}, flat(3)).empty());
}

TEST(Crossovers, ExplainSaysWhereTheNextOneIs) {
  const JobMachine machine = job("node:16 core:1", 16);
  const auto table = crossovers({.collective = Collective::all_reduce}, machine);
  ASSERT_GE(table.size(), 2U);
  const SelectRequest before{.collective = Collective::all_reduce, .block_bytes = table[1].from_bytes - 1};
  const std::string next{table[1].winner.algorithm->name};
  EXPECT_THAT(render(choose(before, machine), before, machine), HasSubstr("the next change: " + next + " from "));
  const SelectRequest last{.collective = Collective::all_reduce, .block_bytes = kMostCrossoverBytes};
  const std::string text = render(choose(last, machine), last, machine);
  EXPECT_THAT(text, testing::Not(HasSubstr("the next change")));
  EXPECT_THAT(text, HasSubstr("by size: "));
}

}  // namespace
}  // namespace tutti
