// Algorithms from libraries: what is taken, and what is refused before anything of it is used.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "custom/custom.h"

namespace tutti {
namespace {

using testing::HasSubstr;

std::string library(const std::string& name) { return std::string(TUTTI_TEST_PLUGINS) + "/lib" + name + ".so"; }

Result<CustomAlgorithms> load(std::initializer_list<std::string> files) {
  return CustomAlgorithms::load_files({}, std::span(files));
}

std::string refusal(const std::string& file) {
  auto custom = load({file});
  EXPECT_FALSE(custom) << file;
  if (custom) return "";
  EXPECT_EQ(custom.error().code(), Code::invalid_argument);
  EXPECT_THAT(custom.error().to_string(), HasSubstr(file));
  return custom.error().to_string();
}

TEST(Plugins, RowsAreProvedAndPricedByWhatIsMeasured) {
  auto custom = load({library("good")});
  ASSERT_TRUE(custom) << custom.error().to_string();
  for (const Rank ranks : {1, 2, 5, 8}) {
    auto table = custom->table(ranks, nullptr, 64);
    ASSERT_TRUE(table) << table.error().to_string();
    const Algorithm* star = table->find(Collective::barrier, "star");
    ASSERT_NE(star, nullptr);
    EXPECT_EQ(star->refuses({.ranks = ranks}), "");
    EXPECT_THAT(std::string(star->origin), HasSubstr("libgood.so"));
    const Cost cost = star->cost({.ranks = ranks}, {});
    EXPECT_EQ(cost.levels[0].rounds, ranks == 1 ? 0U : 2U);
    EXPECT_EQ(cost.levels[0].sent, static_cast<std::uint64_t>(ranks - 1));
    EXPECT_EQ(table->find(Collective::barrier, "picky")->refuses({.ranks = 3}), "is for even numbers of ranks");
  }
  EXPECT_EQ(custom->plugin_rows().size(), 2U);
  EXPECT_EQ(custom->items().size(), 2U);
}

TEST(Plugins, AreNotUsedWhereTheyAreNotProved) {
  auto custom = load({library("good")});
  ASSERT_TRUE(custom) << custom.error().to_string();
  auto table = custom->table(9, nullptr, 8);
  ASSERT_TRUE(table) << table.error().to_string();
  EXPECT_THAT(table->find(Collective::barrier, "star")->refuses({.ranks = 9}),
              testing::AllOf(HasSubstr("proved for up to 8 ranks only; there are 9"), HasSubstr("TUTTI_PROVE_RANKS=9")));
}

TEST(Plugins, AWrongRowIsRefusedWithTheProof) {
  auto custom = load({library("wrong")});
  ASSERT_TRUE(custom) << custom.error().to_string();
  auto table = custom->table(3, nullptr, 64);
  ASSERT_FALSE(table);
  EXPECT_THAT(table.error().to_string(),
              testing::AllOf(HasSubstr("libwrong.so"), HasSubstr("barrier wrong"), HasSubstr("rank 1")));
}

TEST(Plugins, WhatIsNoPluginIsRefused) {
  EXPECT_THAT(refusal("/no/such/libplugin.so"), HasSubstr("No such file"));
  EXPECT_THAT(refusal("/tmp"), HasSubstr("not a regular file"));
  const auto text = std::filesystem::temp_directory_path() / "tutti_plugins_test.txt";
  std::ofstream(text) << "no library\n";
  EXPECT_THAT(refusal(text), HasSubstr("cannot be loaded"));
  std::filesystem::remove(text);
  EXPECT_THAT(refusal(library("no_entry")), HasSubstr("has no function tutti_plugin"));
  EXPECT_THAT(refusal(library("other_version")), HasSubstr("is made for version 2 of plugins; this library takes version 1"));
  EXPECT_THAT(refusal(library("other_sizes")), HasSubstr("types of other sizes"));
  EXPECT_THAT(refusal(library("empty")), HasSubstr("offers no algorithm"));
  EXPECT_THAT(refusal(library("twice")), HasSubstr("offers barrier one, twice"));
  EXPECT_THAT(refusal(library("known")), HasSubstr("barrier tree, but the library has one of this name"));
  EXPECT_THAT(refusal(library("no_name")), HasSubstr("calls a row of barrier \"\""));
  EXPECT_THAT(refusal(library("no_builder")), HasSubstr("which has no builder"));
  auto both = load({library("good"), library("good")});
  ASSERT_FALSE(both);
  EXPECT_THAT(both.error().to_string(), HasSubstr("give this one another name"));
}

}  // namespace
}  // namespace tutti
