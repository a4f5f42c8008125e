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

AlgorithmTable table_of(const std::string& name, Rank ranks) {
  auto custom = load({library(name)});
  if (!custom) ADD_FAILURE() << custom.error().to_string();
  auto table = custom->table(ranks, nullptr, 64);
  if (!table) ADD_FAILURE() << table.error().to_string();
  return std::move(*table);
}

TEST(Plugins, EachCutIsProvedBeforeItIsUsed) {
  const AlgorithmTable table = table_of("late", 5);
  for (const char* name : {"late", "cheap"}) {
    const Algorithm& row = *table.find(Collective::all_gather, name);
    for (const std::uint32_t pieces : {1, 2, 3, 8}) EXPECT_EQ(row.refuses_cut({.ranks = 5}, {.pieces = pieces}), "") << name;
    for (int i = 0; i < 2; ++i)
      EXPECT_THAT(row.refuses_cut({.ranks = 5}, {.pieces = 4}),
                  testing::AllOf(HasSubstr("liblate.so"), HasSubstr(name), HasSubstr("5 ranks, root 0, 4 piece(s)")));
  }
}

TEST(Plugins, EachRootIsProvedBeforeItIsUsed) {
  const AlgorithmTable table = table_of("late", 8);
  const Algorithm& row = *table.find(Collective::broadcast, "rooted");
  for (const Rank root : {0, 1, 3, 7}) EXPECT_EQ(row.refuses_cut({.ranks = 8, .root = root}, {}), "");
  EXPECT_THAT(row.refuses_cut({.ranks = 8, .root = 2}, {}), HasSubstr("broadcast rooted, 8 ranks, root 2"));
}

TEST(Plugins, WhatTheyThrowIsAnError) {
  auto custom = load({library("throws")});
  ASSERT_TRUE(custom) << custom.error().to_string();
  for (const auto& [ranks, what] : {std::pair<Rank, std::string>{3, "throws: no threes"},
                                    {5, "throws what is no std::exception"},
                                    {7, "throws: no sevens"}}) {
    auto table = custom->table(ranks, nullptr, 64);
    ASSERT_FALSE(table) << ranks;
    EXPECT_EQ(table.error().code(), Code::invalid_argument);
    EXPECT_THAT(table.error().to_string(),
                testing::AllOf(HasSubstr("libthrows.so"), HasSubstr("barrier throws"), HasSubstr(what)));
  }
  // Asked of a row of other ranks than it was made for, too.
  const AlgorithmTable table = table_of("throws", 4);
  const Algorithm& row = *table.find(Collective::barrier, "throws");
  EXPECT_EQ(row.refuses({.ranks = 4}), "");
  EXPECT_THAT(row.refuses({.ranks = 5}), HasSubstr("libthrows.so' throws what is no std::exception"));
  EXPECT_THAT(row.refuses_cut({.ranks = 3}, {}), HasSubstr("throws: no threes"));
  EXPECT_GT(row.cost({.ranks = 7}, {}).levels.at(0).rounds, 1000U);
  EXPECT_THAT(row.refuses_cut({.ranks = 7}, {}), HasSubstr("throws: no sevens"));
}

TEST(Plugins, WhatIsNoPluginIsRefused) {
  EXPECT_THAT(refusal("/no/such/libplugin.so"), HasSubstr("No such file"));
  EXPECT_THAT(refusal("/tmp"), HasSubstr("not a regular file"));
  const auto text = std::filesystem::temp_directory_path() / "tutti_plugins_test.txt";
  std::ofstream(text) << "no library\n";
  EXPECT_THAT(refusal(text), HasSubstr("cannot be loaded"));
  std::filesystem::remove(text);
  EXPECT_THAT(refusal(library("no_entry")), HasSubstr("has no function tutti_plugin"));
  EXPECT_THAT(refusal(library("other_version")), HasSubstr("is made for version 4 of plugins; this library takes version 3"));
  EXPECT_THAT(refusal(library("other_sizes")), HasSubstr("types of other sizes"));
  EXPECT_THAT(refusal(library("empty")), HasSubstr("offers no algorithm"));
  EXPECT_THAT(refusal(library("twice")), HasSubstr("offers barrier one, twice"));
  EXPECT_THAT(refusal(library("known")), HasSubstr("barrier tree, but the library has one of this name"));
  EXPECT_THAT(refusal(library("no_name")), HasSubstr("calls a row of barrier \"\""));
  EXPECT_THAT(refusal(library("no_builder")), HasSubstr("which has no builder"));
  EXPECT_THAT(refusal(library("publishes")), HasSubstr("offers barrier loud, which publishes: only the library's rows may"));
  EXPECT_THAT(refusal(library("throws_at_once")), HasSubstr("cannot be asked: tutti_plugin throws: not today"));
  auto both = load({library("good"), library("good")});
  ASSERT_FALSE(both);
  EXPECT_THAT(both.error().to_string(), HasSubstr("give this one another name"));
}

}  // namespace
}  // namespace tutti
