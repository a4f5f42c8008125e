// Schedules in files as algorithms of a job: what is taken, at which cost, and what is refused.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "custom/custom.h"
#include "verify/verify.h"

namespace tutti {
namespace {

using testing::HasSubstr;

constexpr Rank kUnlimited = 64;

// An algorithm of the library under another name, as `tutti schedule` prints it.
std::string text_of(Collective collective, std::string_view algorithm, std::string_view name, Shape shape) {
  std::string text = "# a comment\n";
  for (Rank r = 0; r < shape.ranks; ++r) {
    Schedule s = find_algorithm(collective, algorithm)->build(r, shape, {});
    s.algorithm = name;
    text += print(s);
  }
  return text;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

Result<CustomAlgorithms> load(std::initializer_list<ScheduleText> texts) { return CustomAlgorithms::load(std::span(texts), {}); }

AlgorithmTable table_of(const ScheduleText& text, Rank ranks, const std::vector<Grouping>* levels = nullptr) {
  auto custom = load({text});
  EXPECT_TRUE(custom) << custom.error().to_string();
  if (!custom) return {};
  auto table = custom->table(ranks, levels, kUnlimited);
  EXPECT_TRUE(table) << table.error().to_string();
  return table ? std::move(*table) : AlgorithmTable();
}

std::string refusal(std::initializer_list<ScheduleText> texts) {
  auto custom = load(texts);
  EXPECT_FALSE(custom);
  return custom ? "" : custom.error().to_string();
}

TEST(Texts, EveryCollectivesScheduleBecomesARowThatBuildsIt) {
  for (const Algorithm& library : algorithms()) {
    if (library.needs.levels || library.needs.power_of_two || library.collective == Collective::send_recv) continue;
    const Shape shape{.ranks = 6, .root = has_root(library.collective) ? 2 : 0};
    const auto table = table_of({"mine.txt", text_of(library.collective, library.name, "mine", shape)}, 6);
    const Algorithm* mine = table.find(library.collective, "mine");
    ASSERT_NE(mine, nullptr);
    SCOPED_TRACE(fmt::format("{} {}", name(library.collective), library.name));
    EXPECT_EQ(mine->origin, "mine.txt");
    EXPECT_EQ(mine->refuses(shape), "");
    if (reduces(library.collective)) {
      EXPECT_EQ(mine->meets_at_once, library.meets_at_once);
      EXPECT_TRUE(is_canonical(*mine, shape, {}) || !is_canonical(library, shape, {}));
    }
    std::vector<Schedule> in_place;
    for (Rank r = 0; r < 6; ++r) {
      Schedule expected = library.build(r, shape, {});
      expected.algorithm = "mine";
      EXPECT_EQ(mine->build(r, shape, {}), expected);
      in_place.push_back(mine->build(r, {.ranks = 6, .root = shape.root, .in_place = true}, {}));
      EXPECT_TRUE(in_place.back().in_place);
    }
    const auto proof = verify(in_place, {.equal_blocks = mine->needs.equal_blocks});
    EXPECT_TRUE(proof) << proof.error().to_string();
    const Cost declared = library.cost(shape, {}), measured = mine->cost(shape, {});
    ASSERT_EQ(measured.levels.size(), 1U);
    EXPECT_EQ(measured.chunks_per_block, declared.chunks_per_block);
    EXPECT_EQ(measured.levels[0].rounds, declared.levels[0].rounds);
    EXPECT_EQ(measured.levels[0].path, declared.levels[0].path);
    EXPECT_EQ(measured.levels[0].sent, declared.levels[0].sent);
    EXPECT_EQ(measured.levels[0].reduced, declared.levels[0].reduced);
    EXPECT_TRUE(mine->needs.commutative || !library.needs.commutative || !reduces(library.collective));
  }
}

TEST(Texts, WhatItNeedsIsFoundOut) {
  const auto needs = [](Collective c, std::string_view algorithm) {
    return table_of({"f", text_of(c, algorithm, "mine", {.ranks = 4})}, 4).find(c, "mine")->needs;
  };
  EXPECT_TRUE(needs(Collective::all_reduce, "ring").commutative);
  EXPECT_FALSE(needs(Collective::all_reduce, "direct").commutative);
  EXPECT_TRUE(needs(Collective::all_to_all, "bruck").equal_blocks);
  EXPECT_FALSE(needs(Collective::all_to_all, "pairwise").equal_blocks);
}

TEST(Texts, AnotherShapeIsRefusedWithWhatItIsFor) {
  const auto table = table_of({"f", text_of(Collective::reduce, "knomial", "mine", {.ranks = 4, .root = 3})}, 5);
  const Algorithm& mine = *table.find(Collective::reduce, "mine");
  EXPECT_EQ(mine.refuses({.ranks = 5, .root = 3}), "its schedules are for 4 ranks; there are 5");
  EXPECT_EQ(mine.refuses({.ranks = 4, .root = 0}), "its schedules are for root 3; the root is 0");
  EXPECT_EQ(mine.refuses({.ranks = 4, .root = 3}), "");
}

TEST(Texts, OneNameMayHaveSeveralShapes) {
  std::string text;
  for (const Rank ranks : {2, 3, 4}) text += text_of(Collective::all_gather, "ring", "mine", {.ranks = ranks});
  text += text_of(Collective::all_gather, "ring", "mine", {.ranks = 4, .in_place = true});
  for (const Rank ranks : {2, 3, 4}) {
    const auto table = table_of({"f", text}, ranks);
    const Algorithm& mine = *table.find(Collective::all_gather, "mine");
    EXPECT_EQ(mine.refuses({.ranks = ranks}), "");
    EXPECT_EQ(mine.build(1, {.ranks = ranks}, {}).ranks, ranks);
  }
  const auto table = table_of({"f", text}, 4);
  Schedule given = find_algorithm(Collective::all_gather, "ring")->build(2, {.ranks = 4, .in_place = true}, {});
  given.algorithm = "mine";
  EXPECT_EQ(table.find(Collective::all_gather, "mine")->build(2, {.ranks = 4, .in_place = true}, {}), given);
}

TEST(Texts, AHierarchicalOneIsPricedByLevel) {
  const std::vector<Grouping> levels{Grouping({0, 0, 0, 1, 1, 1})};
  const Shape shape{.ranks = 6, .levels = &levels};
  const auto table = table_of({"f", text_of(Collective::all_reduce, "hierarchical", "mine", shape)}, 6, &levels);
  const Cost cost = table.find(Collective::all_reduce, "mine")->cost(shape, {});
  ASSERT_EQ(cost.levels.size(), 2U);
  EXPECT_EQ(cost.levels[0].level, 0);
  EXPECT_EQ(cost.levels[1].level, 1);
  EXPECT_EQ(cost.levels[1].leaving, cost.levels[1].sent);  // the leaders only
  const auto flat = table_of({"f", text_of(Collective::all_reduce, "ring", "mine", shape)}, 6, &levels);
  EXPECT_EQ(flat.find(Collective::all_reduce, "mine")->cost(shape, {}).levels[0].level, -1);
}

TEST(Texts, ErrorsNameTheFileAndTheLine) {
  const std::string good = text_of(Collective::all_reduce, "ring", "mine", {.ranks = 3});
  EXPECT_THAT(refusal({{"a.txt", ""}}), HasSubstr("'a.txt' no schedule in the text"));
  EXPECT_THAT(refusal({{"a.txt", replaced(good, "copy", "cpoy")}}), HasSubstr("'a.txt' line 6: expected a step"));
  EXPECT_THAT(refusal({{"a.txt", replaced(good, "all_reduce", "all_produce")}}),
              HasSubstr("'a.txt' line 2: expected a collective"));
  EXPECT_THAT(refusal({{"a.txt", good.substr(0, good.rfind("schedule"))}}),
              HasSubstr("'a.txt' line 2: all_reduce mine of 3 ranks <- rank 0's schedule is for 3 ranks, but 2 schedules"));
  EXPECT_THAT(refusal({{"a.txt", good.substr(0, good.rfind("recv"))}}), HasSubstr("all_reduce mine of 3 ranks <- rank 1 step"));
  EXPECT_THAT(refusal({{"a.txt", good + good}}), HasSubstr("rank 0 of all_reduce mine has a schedule in line 2 already"));
  EXPECT_THAT(refusal({{"a.txt", good}, {"b.txt", good}}), HasSubstr("'b.txt' line 2: all_reduce mine is in 'a.txt' already"));
  EXPECT_THAT(refusal({{"a.txt", text_of(Collective::all_reduce, "ring", "ring", {.ranks = 3})}}),
              HasSubstr("'a.txt' line 2: all_reduce ring is an algorithm of the library"));
  EXPECT_THAT(refusal({{"a.txt", text_of(Collective::all_reduce, "ring", "a,b", {.ranks = 3})}}),
              HasSubstr("\"a,b\" is no name"));
  EXPECT_THAT(refusal({{"a.txt", text_of(Collective::all_reduce, "ring", "mine", {.ranks = 3, .in_place = true})}}),
              HasSubstr("is given in place only"));
  EXPECT_THAT(refusal({{"a.txt", "schedule send_recv mine rank 0 of 1 chunks 1\n"}}), HasSubstr("it has no algorithms"));
}

TEST(Texts, ADeadlockNamesTheSteps) {
  const std::string text =
      "schedule all_gather mine rank 0 of 2 chunks 1\ncopy input[0] -> output[0]\nrecv 1 -> output[1]\n"
      "send input[0] -> 1 after 1\n"
      "schedule all_gather mine rank 1 of 2 chunks 1\ncopy input[0] -> output[1]\nrecv 0 -> output[0]\n"
      "send input[0] -> 0 after 1\n";
  EXPECT_THAT(refusal({{"a.txt", text}}),
              testing::AllOf(HasSubstr("all_gather mine of 2 ranks"), HasSubstr("rank 0 step"), HasSubstr("deadlock")));
}

TEST(Texts, BothFormsMustGoTogether) {
  const std::string direct = text_of(Collective::all_gather, "direct", "mine", {.ranks = 4});
  const std::string ring = text_of(Collective::all_gather, "ring", "mine", {.ranks = 4, .in_place = true});
  EXPECT_THAT(refusal({{"a.txt", direct + ring}}), HasSubstr("every second rank in place"));
}

TEST(Texts, RanksCompareThem) {
  const std::string ring = text_of(Collective::all_reduce, "ring", "mine", {.ranks = 3});
  const auto items = [](const std::string& text) { return load({{"f", text}})->items(); };
  ASSERT_EQ(items(ring).size(), 1U);
  EXPECT_EQ(items(ring)[0].what, "all_reduce mine");
  EXPECT_EQ(items(ring)[0].hash, items("# another comment\n" + ring)[0].hash);
  EXPECT_NE(items(ring)[0].hash, items(text_of(Collective::all_reduce, "direct", "mine", {.ranks = 3}))[0].hash);
  EXPECT_TRUE(CustomAlgorithms().items().empty());
}

}  // namespace
}  // namespace tutti
