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

}  // namespace
}  // namespace tutti
