// That rows of the table are judged rightly; the rows themselves are verified with the algorithms.
#include "catalog/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "catalog/machines.h"
#include "samples.h"
#include "schedule/carried.h"

namespace tutti {
namespace {

using testing::HasSubstr;

Schedule scan(Rank me, const Shape& shape, const Chunking&) { return samples::linear_scan(me, shape); }
Cost scan_cost(const Shape& shape, const Chunking&) {
  const auto links = static_cast<std::uint32_t>(shape.ranks - 1);
  return {.chunks_per_block = 1,
          .levels = {{.level = -1, .rounds = links, .path = links, .sent = links > 0, .reduced = links > 0}}};
}
Cost other_cost(const Shape& shape, const Chunking& chunking) {
  Cost cost = scan_cost(shape, chunking);
  cost.levels[0].rounds += 1;
  return cost;
}
Cost bound(const Shape& shape, const Chunking& chunking) {
  Cost cost = other_cost(shape, chunking);
  cost.exact = false;
  return cost;
}
// Right out of place; in place it forgets that its output is what others still read.
Schedule hasty(Rank me, const Shape& shape, const Chunking& chunking) {
  Schedule s = scan(me, {.ranks = shape.ranks}, chunking);
  s.in_place = shape.in_place;
  return s;
}

Algorithm row(Schedule (*build)(Rank, const Shape&, const Chunking&), Cost (*cost)(const Shape&, const Chunking&)) {
  return {.collective = Collective::scan,
          .name = "test",
          .summary = "",
          .source = "",
          .needs = {},
          .pipelines = false,
          .build = build,
          .cost = cost};
}

TEST(Catalog, proves_a_row_that_is_right) {
  const auto summary = verify_algorithm(row(scan, scan_cost), 5);
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_EQ(summary->sets, 6U);  // out of place, in place, every second; each fused as well
  EXPECT_EQ(summary->schedules, 30U);
  EXPECT_TRUE(verify_algorithm(row(scan, bound), 5));
}

TEST(Catalog, refuses_what_a_network_does_not_carry) {
  const auto right = [](const Shape& shape, const Chunking& chunking) {
    Cost cost = scan_cost(shape, chunking);
    cost.levels[0].carried = carried(shape, [&](Carried& network) {
      for (Rank r = 1; r < shape.ranks; ++r) network.message(r - 1, r, 1);
    });
    return cost;
  };
  const auto only_pods = [](const Shape& shape, const Chunking& chunking) {
    Cost cost = scan_cost(shape, chunking);
    if (!shape.torus.empty()) cost.levels[0].carried = 1;
    return cost;
  };
  const auto only_tori = [](const Shape& shape, const Chunking& chunking) {
    Cost cost = scan_cost(shape, chunking);
    if (shape.pod > 0) cost.levels[0].carried = 7;
    return cost;
  };
  for (Rank p = 1; p <= 16; ++p) EXPECT_TRUE(verify_algorithm(row(scan, right), p)) << p;
  EXPECT_THAT(verify_algorithm(row(scan, only_pods), 6).error().to_string(),
              HasSubstr("over a torus of 6: declared 1, measured 5"));
  EXPECT_THAT(verify_algorithm(row(scan, only_tori), 6).error().to_string(),
              HasSubstr("from a pod of 4: declared 7, measured 1"));
}

TEST(Catalog, refuses_a_wrong_cost) {
  const auto summary = verify_algorithm(row(scan, other_cost), 5);
  ASSERT_FALSE(summary);
  EXPECT_THAT(summary.error().to_string(),
              HasSubstr("scan test, 5 ranks, root 0, 1 piece(s), out of place <- wrong cost: rounds: declared 5, measured 4"));
}

Cost no_levels(const Shape&, const Chunking&) { return {}; }
Cost of_a_level(const Shape& shape, const Chunking& chunking) {
  Cost cost = scan_cost(shape, chunking);
  cost.levels[0].level = 0;
  return cost;
}
Cost twice(const Shape& shape, const Chunking& chunking) {
  Cost cost = of_a_level(shape, chunking);
  cost.levels.push_back(cost.levels[0]);
  return cost;
}
Cost both(const Shape& shape, const Chunking& chunking) {
  Cost cost = of_a_level(shape, chunking);
  cost.levels.push_back({});
  return cost;
}
Cost too_far(const Shape& shape, const Chunking& chunking) {
  Cost cost = of_a_level(shape, chunking);
  cost.levels.push_back({.level = 2});
  return cost;
}

TEST(Catalog, refuses_costs_of_levels_that_are_not_there) {
  const auto why = [](Cost (*cost)(const Shape&, const Chunking&), const std::vector<Grouping>* levels) {
    auto summary = verify_algorithm(row(scan, cost), 4, {.levels = levels});
    return summary ? "" : summary.error().to_string();
  };
  const std::vector<Grouping> one_group{Grouping({0, 0, 0, 0})};
  EXPECT_THAT(why(no_levels, nullptr), HasSubstr("wrong cost: no level is declared"));
  EXPECT_THAT(why(no_levels, &one_group), HasSubstr("wrong cost: no level is declared"));
  EXPECT_THAT(why(of_a_level, nullptr), HasSubstr("level 0 is declared; there is -1, alone: these ranks are all alike"));
  EXPECT_EQ(why(of_a_level, &one_group), "");
  EXPECT_THAT(why(twice, &one_group), HasSubstr("level 0 is declared twice"));
  EXPECT_THAT(why(both, &one_group), HasSubstr("level -1 is declared; there is -1, alone, or 0 to 1"));
  EXPECT_THAT(why(too_far, &one_group), HasSubstr("level 2 is declared; there is -1, alone, or 0 to 1"));
}

Cost with(const Cost& cost, std::uint64_t leaving, std::uint32_t at_a_time) {
  Cost changed = cost;
  changed.levels.back().leaving = leaving;
  changed.levels.back().at_a_time = at_a_time;
  return changed;
}

TEST(Catalog, compares_what_leaves_a_group) {
  const std::vector<Grouping> in_turns{Grouping({0, 1, 0, 1})};  // all messages of the scan leave a group, two of them group 0
  const auto why = [&](Cost (*cost)(const Shape&, const Chunking&), const std::vector<Grouping>* levels) {
    auto summary = verify_algorithm(row(scan, cost), 4, {.levels = levels});
    return summary ? "" : summary.error().to_string();
  };
  const auto flat_1 = [](const Shape& shape, const Chunking& chunking) { return with(scan_cost(shape, chunking), 1, 0); };
  const auto flat_2 = [](const Shape& shape, const Chunking& chunking) { return with(scan_cost(shape, chunking), 2, 0); };
  EXPECT_THAT(why(flat_1, &in_turns), HasSubstr("wrong cost: leaving a group: declared 1, measured 2"));
  EXPECT_EQ(why(flat_2, &in_turns), "");
  EXPECT_THAT(why(flat_2, nullptr), HasSubstr("leaving a group: declared 2, measured"));  // no pair has more than one

  static constexpr auto outside = [](const Shape& shape, const Chunking& chunking) {
    Cost cost = scan_cost(shape, chunking);
    cost.levels[0].level = 1;
    return cost;
  };
  const auto leader = [](const Shape& shape, const Chunking& chunking) { return outside(shape, chunking); };
  const auto both_ranks = [](const Shape& shape, const Chunking& chunking) { return with(outside(shape, chunking), 2, 0); };
  const auto more = [](const Shape& shape, const Chunking& chunking) {
    Cost cost = with(outside(shape, chunking), 3, 0);
    cost.exact = false;
    return cost;
  };
  EXPECT_THAT(why(leader, &in_turns), HasSubstr("leaving a group: declared 1, measured 2"));
  EXPECT_EQ(why(both_ranks, &in_turns), "");
  EXPECT_EQ(why(more, &in_turns), "");
}

TEST(Catalog, compares_messages_at_a_time_where_they_are_declared) {
  const auto one = [](const Shape& shape, const Chunking& chunking) { return with(scan_cost(shape, chunking), 0, 1); };
  const auto two = [](const Shape& shape, const Chunking& chunking) { return with(scan_cost(shape, chunking), 0, 2); };
  EXPECT_TRUE(verify_algorithm(row(scan, one), 4));
  const auto summary = verify_algorithm(row(scan, two), 4);
  ASSERT_FALSE(summary);
  EXPECT_THAT(summary.error().to_string(), HasSubstr("wrong cost: messages at a time: declared 2, measured 1"));
}

TEST(Catalog, takes_the_places_and_roots_that_are_asked_for) {
  const Algorithm& knomial = *find_algorithm(Collective::broadcast, "knomial");
  const auto sets = [&](const CatalogOptions& options) { return verify_algorithm(knomial, 6, options)->sets; };
  EXPECT_EQ(sets({.pieces = {1}, .radices = {2}, .places = Places::every_second, .roots = {7}}), 1U);
  EXPECT_EQ(sets({.pieces = {1}, .radices = {2}, .places = Places::in_place, .roots = {0, 5}}), 2U);
  EXPECT_EQ(sets({.pieces = {1}, .radices = {2}}), 6U * 3U);
  EXPECT_EQ(sets({.pieces = {4}, .radices = {2, 64}, .places = Places::in_place, .roots = {0}}), 2U) << "2 and 6";
  const auto scans = verify_algorithm(row(scan, scan_cost), 5, {.pieces = {4}, .radices = {8}, .fused = false});
  ASSERT_TRUE(scans);
  EXPECT_EQ(scans->sets, 3U) << "a row without parameters is proved whatever they are";
}

Schedule throwing(Rank me, const Shape& shape, const Chunking& chunking) {
  if (me == 2) throw std::runtime_error("no rank 2");
  return scan(me, shape, chunking);
}

TEST(Catalog, says_what_a_row_throws) {
  const auto summary = verify_algorithm(row(throwing, scan_cost), 3);
  ASSERT_FALSE(summary);
  EXPECT_THAT(summary.error().to_string(), HasSubstr("scan test, 3 ranks, throws: no rank 2"));
}

TEST(Catalog, proves_one_cut) {
  EXPECT_EQ(verify_cut(row(scan, scan_cost), {.ranks = 5}, {})->sets, 6U);
  EXPECT_FALSE(verify_cut(row(scan, other_cost), {.ranks = 5}, {}));
  EXPECT_FALSE(verify_cut(row(hasty, scan_cost), {.ranks = 5}, {}));
}

TEST(Catalog, refuses_what_is_wrong_in_place) {
  EXPECT_TRUE(verify_algorithm(row(hasty, scan_cost), 3, {.places = Places::out_of_place}));
  const auto summary = verify_algorithm(row(hasty, scan_cost), 3);
  ASSERT_FALSE(summary);
  EXPECT_THAT(summary.error().to_string(), HasSubstr("in place <- rank 0 step 0 (copy input[0] -> output[0])"));
}

TEST(Catalog, refuses_rank_counts_the_row_is_not_for) {
  Algorithm a = row(scan, scan_cost);
  a.needs.power_of_two = true;
  EXPECT_TRUE(applies(a, 8));
  EXPECT_FALSE(applies(a, 6));
  EXPECT_FALSE(verify_algorithm(a, 6));
  a.needs = {.even = true, .min_ranks = 4};
  EXPECT_FALSE(applies(a, 2));
  EXPECT_FALSE(applies(a, 5));
  EXPECT_TRUE(applies(a, 6));
}

TEST(Machines, have_levels_that_nest) {
  for (const Rank p : {1, 2, 7, 12, 24})
    for (const Machine& m : made_up_machines(p))
      for (std::size_t l = 0; l + 1 < m.levels.size(); ++l)
        for (Rank a = 0; a < p; ++a)
          for (Rank b = 0; b < p; ++b)
            EXPECT_TRUE(m.levels[l].group_of(a) != m.levels[l].group_of(b) ||
                        m.levels[l + 1].group_of(a) == m.levels[l + 1].group_of(b))
                << m.name << " ranks " << p << ": " << a << " " << b;
}

}  // namespace
}  // namespace tutti
