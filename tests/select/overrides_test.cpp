#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "select/select.h"

namespace tutti {
namespace {

using testing::HasSubstr;

AlgorithmOverrides parsed(std::string_view text) {
  auto o = AlgorithmOverrides::parse(text);
  EXPECT_TRUE(o) << o.error().to_string();
  return o ? std::move(*o) : AlgorithmOverrides{};
}

TEST(Overrides, NothingForcesNothing) {
  for (const AlgorithmOverrides& o : {AlgorithmOverrides{}, parsed("")})
    for (int c = 0; c < kCollectives; ++c) EXPECT_EQ(o.forced(static_cast<Collective>(c)), "");
}

TEST(Overrides, ABareNameServesEveryCollectiveThatHasIt) {
  const AlgorithmOverrides o = parsed("ring");
  for (int c = 0; c < kCollectives; ++c) {
    const auto collective = static_cast<Collective>(c);
    EXPECT_EQ(o.forced(collective), find_algorithm(collective, "ring") != nullptr ? "ring" : "") << name(collective);
  }
  EXPECT_EQ(o.forced(Collective::all_reduce), "ring");
}

TEST(Overrides, ACollectivesOwnNameServesOnlyIt) {
  const AlgorithmOverrides o = parsed("all_reduce:ring,broadcast:knomial");
  EXPECT_EQ(o.forced(Collective::all_reduce), "ring");
  EXPECT_EQ(o.forced(Collective::broadcast), "knomial");
  EXPECT_EQ(o.forced(Collective::all_gather), "");
}

TEST(Overrides, TheLastOfTwoWins) {
  const AlgorithmOverrides o = parsed("ring,all_reduce:direct");
  EXPECT_EQ(o.forced(Collective::all_reduce), "direct");
  EXPECT_EQ(o.forced(Collective::all_gather), "ring");
}

TEST(Overrides, WrongNamesAreRefusedWithTheKnownOnes) {
  for (const auto* text : {"helical", "all_reduce:helical", "all_reduce:", ":ring", "all_produce:ring", "ring,,direct",
                           "ring,helical", " ring", "all_reduce:neighbour_exchange"}) {
    auto o = AlgorithmOverrides::parse(text);
    ASSERT_FALSE(o) << text;
    EXPECT_EQ(o.error().code(), Code::environment) << text;
    EXPECT_THAT(o.error().message(), HasSubstr(fmt::format("\"{}\"", text))) << text;
  }
  auto o = AlgorithmOverrides::parse("all_reduce:helical");
  EXPECT_THAT(o.error().message(), HasSubstr("all_reduce:ring"));
}

TEST(Overrides, ParametersStayWithTheAlgorithm) {
  const AlgorithmOverrides o = parsed("all_reduce:ring/pieces=8,broadcast:knomial/radix=4");
  EXPECT_EQ(o.forced(Collective::all_reduce), "ring/pieces=8");
  EXPECT_EQ(o.forced(Collective::broadcast), "knomial/radix=4");
  const auto forced = ForcedAlgorithm::parse("knomial/radix=4/pieces=2");
  ASSERT_TRUE(forced);
  EXPECT_EQ(forced->name, "knomial");
  EXPECT_EQ(forced->radix, 4U);
  EXPECT_EQ(forced->pieces, 2U);
  for (const auto* text : {"ring/", "ring/pieces", "ring/pieces=", "ring/pieces=0", "ring/pieces=1025", "ring/pieces=2x",
                           "ring/radix=1", "ring/radix=-4", "ring/chunks=2", "ring/pieces=2/pieces=2", "ring//pieces=2",
                           "direct/publish", "direct/published/sent", "direct/published/pieces=2"}) {
    auto bad = ForcedAlgorithm::parse(text);
    ASSERT_FALSE(bad) << text;
    EXPECT_EQ(bad.error().code(), Code::invalid_argument);
    EXPECT_THAT(bad.error().message(), HasSubstr(fmt::format("\"{}\"", text)));
  }
  auto misfit = AlgorithmOverrides::parse("all_reduce:ring/radix=4");
  ASSERT_FALSE(misfit);
  EXPECT_THAT(misfit.error().message(), HasSubstr("all_reduce ring has no radix"));
}

TEST(Filter, NamesOnlyOrAllBut) {
  const AlgorithmTable table;
  const auto left = [&](std::string_view text, Collective collective) {
    auto filter = AlgorithmFilter::parse(text, table);
    EXPECT_TRUE(filter) << filter.error().to_string();
    std::string names;
    for (const Algorithm* a : table.of(collective))
      if (!filter || filter->leaves(*a)) names += std::string(names.empty() ? "" : ", ") + std::string(a->name);
    return names;
  };
  const std::string all = table.names(Collective::reduce);
  EXPECT_EQ(left("", Collective::reduce), all);
  EXPECT_EQ(left("direct", Collective::reduce), "direct");
  EXPECT_EQ(left("ring", Collective::reduce), all);  // it has none of this name: nothing is said of it
  EXPECT_EQ(left("two_shot,reduce:direct", Collective::reduce), "direct, two_shot");
  EXPECT_EQ(left("all_reduce:direct", Collective::reduce), all);
  EXPECT_EQ(left("direct,two_shot,^direct", Collective::reduce), "two_shot");
  EXPECT_THAT(left("^direct", Collective::reduce), testing::Not(HasSubstr("direct")));
  for (const auto* text :
       {"helical", "^helical", "all_produce:ring", "^", "^all_reduce:ring", ",ring", "all_reduce:neighbour_exchange"}) {
    auto bad = AlgorithmFilter::parse(text, table);
    ASSERT_FALSE(bad) << text;
    EXPECT_THAT(bad.error().message(), HasSubstr(fmt::format("\"{}\"", text)));
  }
}

}  // namespace
}  // namespace tutti
