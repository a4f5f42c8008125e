// The table that a job chooses from: the library's rows and its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "algorithms/registry.h"

namespace tutti {
namespace {

using testing::HasSubstr;

std::shared_ptr<const Algorithm> row(Collective collective, std::string_view name) {
  Algorithm a = *find_algorithm(collective, "direct");
  a.name = name;
  a.origin = "mine.txt";
  return std::make_shared<const Algorithm>(a);
}

TEST(AlgorithmTable, HoldsTheLibrarysRowsInOrder) {
  const AlgorithmTable table;
  ASSERT_EQ(table.rows().size(), algorithms().size());
  for (std::size_t i = 0; i < algorithms().size(); ++i) EXPECT_EQ(table.rows()[i], &algorithms()[i]);
  EXPECT_EQ(table.find(Collective::all_reduce, "ring"), find_algorithm(Collective::all_reduce, "ring"));
  EXPECT_EQ(table.find(Collective::all_reduce, "mine"), nullptr);
}

TEST(AlgorithmTable, OwnRowsStandBehindTheLibrarysOfTheirCollective) {
  AlgorithmTable table;
  ASSERT_TRUE(table.add(row(Collective::all_reduce, "mine")));
  ASSERT_TRUE(table.add(row(Collective::all_reduce, "other")));
  ASSERT_TRUE(table.add(row(Collective::barrier, "mine")));
  const auto of = table.of(Collective::all_reduce);
  EXPECT_EQ(of.back()->name, "other");
  EXPECT_EQ(of[of.size() - 2]->name, "mine");
  EXPECT_THAT(table.names(Collective::barrier), HasSubstr("direct, "));
  EXPECT_TRUE(table.names(Collective::barrier).ends_with(", mine"));
  Collective before = table.rows().front()->collective;
  std::vector<Collective> seen{before};
  for (const Algorithm* a : table.rows())
    if (a->collective != seen.back()) seen.push_back(a->collective);
  std::ranges::sort(seen);
  EXPECT_TRUE(std::ranges::adjacent_find(seen) == seen.end()) << "the rows of a collective are not together";
}

TEST(AlgorithmTable, RefusesAName) {
  AlgorithmTable table;
  auto s = table.add(row(Collective::all_reduce, "ring"));
  ASSERT_FALSE(s);
  EXPECT_THAT(s.error().to_string(), HasSubstr("all_reduce ring already, in the library"));
  ASSERT_TRUE(table.add(row(Collective::all_reduce, "mine")));
  s = table.add(row(Collective::all_reduce, "mine"));
  ASSERT_FALSE(s);
  EXPECT_THAT(s.error().to_string(), HasSubstr("from mine.txt"));
}

TEST(AlgorithmTable, CopiesShareTheirRows) {
  AlgorithmTable copy;
  {
    AlgorithmTable table;
    ASSERT_TRUE(table.add(row(Collective::all_reduce, "mine")));
    copy = table;
  }
  ASSERT_NE(copy.find(Collective::all_reduce, "mine"), nullptr);
  EXPECT_EQ(copy.find(Collective::all_reduce, "mine")->origin, "mine.txt");
  EXPECT_EQ(AlgorithmTable().find(Collective::all_reduce, "mine"), nullptr);
}

TEST(RowFunction, MayHaveAState) {
  const int seven = 7;
  const RowFunction<int, int> none;
  const RowFunction<int, int> plain = +[](int x) { return x + 1; };
  const RowFunction<int, int> bound(&seven, [](const void* state, int x) { return *static_cast<const int*>(state) * x; });
  EXPECT_FALSE(none);
  EXPECT_TRUE(plain);
  EXPECT_EQ(plain(2), 3);
  EXPECT_TRUE(bound);
  EXPECT_EQ(bound(3), 21);
}

}  // namespace
}  // namespace tutti
