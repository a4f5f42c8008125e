#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixtures.h"
#include "tutti/schedule.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<LevelGroups> levels_of(std::string_view spec, int ranks) {
  const auto placed = place(*load_topology(spec), ranks);
  return levels(*placed);
}

std::vector<Level> kinds(const std::vector<LevelGroups>& groups) {
  std::vector<Level> result;
  for (const LevelGroups& g : groups) result.push_back(g.level);
  return result;
}

// Groups as sets of ranks: what matters, whatever the labels are.
std::vector<std::vector<Rank>> members(const LevelGroups& groups) {
  const Grouping grouping(groups.group_of);
  std::vector<std::vector<Rank>> result;
  for (int g = 0; g < grouping.groups(); ++g) result.emplace_back(grouping.members(g).begin(), grouping.members(g).end());
  return result;
}

TEST(Place, FillsCoresInOrderHostAfterHost) {
  const auto placed = place(*load_topology("node:2 package:2 l3:1 core:2"), 8);
  ASSERT_TRUE(placed);
  const RankLocation& last = placed->back();
  EXPECT_EQ(last.host, 1);
  EXPECT_EQ(last.package, 1);
  EXPECT_EQ(last.l3, 1);
  EXPECT_EQ(last.core, 3);
  EXPECT_EQ(last.numa, -1);
  EXPECT_EQ(last.cpus, std::vector<int>{3});
  EXPECT_FALSE(last.oversubscribed);
  EXPECT_EQ((*placed)[3].host, 0);
  EXPECT_EQ((*placed)[4].host, 1);
  EXPECT_EQ((*placed)[4].core, 0);
}

TEST(Place, WrapsRoundAndMarksSharedPus) {
  const auto placed = place(*load_topology("core:2"), 5);
  ASSERT_TRUE(placed);
  for (const RankLocation& location : *placed) EXPECT_TRUE(location.oversubscribed);
  EXPECT_EQ((*placed)[4].core, 0);

  const auto partly = place(*load_topology("core:2"), 3);
  EXPECT_TRUE((*partly)[0].oversubscribed);
  EXPECT_FALSE((*partly)[1].oversubscribed);
  EXPECT_TRUE((*partly)[2].oversubscribed);

  // Two PUs in each core: two ranks on a core have one each.
  const auto threads = place(*load_topology("core:2 pu:2"), 4);
  EXPECT_EQ((*threads)[0].cpus, std::vector<int>{0});
  EXPECT_EQ((*threads)[2].cpus, std::vector<int>{1});
  EXPECT_FALSE((*threads)[2].oversubscribed);
}

TEST(Place, SkipsCoresThatMayNotBeUsed) {
  Topology topology = *load_topology("core:3");
  topology.nodes[1].cpus.clear();
  const auto placed = place(topology, 2);
  ASSERT_TRUE(placed);
  EXPECT_EQ((*placed)[0].core, 1);
  topology.nodes[2].cpus.clear();
  topology.nodes[3].cpus.clear();
  const auto none = place(topology, 2);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().to_string(), HasSubstr("no core"));
  EXPECT_FALSE(place(topology, 0));
}

TEST(Levels, HostsAndNumaNodes) {
  const auto groups = levels_of("node:4 numa:2 core:8", 64);
  EXPECT_THAT(kinds(groups), ElementsAre(Level::numa, Level::host));
  EXPECT_EQ(Grouping(groups[0].group_of).groups(), 8);
  EXPECT_EQ(Grouping(groups[1].group_of).groups(), 4);
}

TEST(Levels, AllFiveWhereAllDiffer) {
  const auto groups = levels_of("node:2 package:2 numa:2 l3:2 core:2", 64);  // 32 cores, two ranks each
  EXPECT_THAT(kinds(groups), ElementsAre(Level::core, Level::l3, Level::numa, Level::package, Level::host));
  for (std::size_t i = 0; i + 1 < groups.size(); ++i) {
    const Grouping fine(groups[i].group_of), coarse(groups[i + 1].group_of);
    EXPECT_GT(fine.groups(), coarse.groups());
    for (int g = 0; g < fine.groups(); ++g) {
      for (const Rank r : fine.members(g)) EXPECT_EQ(coarse.group_of(r), coarse.group_of(fine.leader(g)));
    }
  }
}

TEST(Levels, LevelsThatTellNothingAreLeftOut) {
  EXPECT_TRUE(levels_of("core:8", 8).empty());
  EXPECT_TRUE(levels_of("package:1 numa:1 l3:1 core:8", 8).empty());
  EXPECT_TRUE(levels_of("node:4 core:8", 1).empty());
  EXPECT_TRUE(levels_of("node:4 core:1", 4).empty());  // one rank per host: flat
  EXPECT_THAT(kinds(levels_of("node:2 package:1 numa:1 core:4", 8)), ElementsAre(Level::host));
  EXPECT_THAT(kinds(levels_of("package:2 numa:1 l3:1 core:4", 8)), ElementsAre(Level::package));  // the coarsest name
  EXPECT_TRUE(levels({}).empty());
}

TEST(Levels, UnequalGroups) {
  const auto groups = levels_of("node:3 core:4", 9);
  ASSERT_THAT(kinds(groups), ElementsAre(Level::host));
  EXPECT_THAT(members(groups[0]), ElementsAre(ElementsAre(0, 1, 2, 3), ElementsAre(4, 5, 6, 7), ElementsAre(8)));
}

TEST(Levels, WrapRoundGroupsRanksOfOneCore) {
  const auto groups = levels_of("core:2", 5);
  ASSERT_THAT(kinds(groups), ElementsAre(Level::core));
  EXPECT_THAT(members(groups[0]), ElementsAre(ElementsAre(0, 2, 4), ElementsAre(1, 3)));
}

TEST(Levels, UnboundRanksOfTwoHostsKnowTheirHostOnly) {
  std::vector<RankLocation> ranks(5);
  ranks[3].host = ranks[4].host = 7;
  const auto groups = levels(ranks);
  ASSERT_THAT(kinds(groups), ElementsAre(Level::host));
  EXPECT_THAT(members(groups[0]), ElementsAre(ElementsAre(0, 1, 2), ElementsAre(3, 4)));
}

TEST(Levels, ARankThatDoesNotKnowItsPlaceIsAlone) {
  std::vector<RankLocation> ranks(5);
  ranks[0].package = ranks[1].package = 0;
  ranks[2].package = ranks[3].package = 1;
  const auto groups = levels(ranks);
  ASSERT_THAT(kinds(groups), ElementsAre(Level::package));
  EXPECT_THAT(members(groups[0]), ElementsAre(ElementsAre(0, 1), ElementsAre(2, 3), ElementsAre(4)));
}

TEST(Levels, NumaNodesThatHoldPackagesAreTheCoarserOnes) {
  const auto groups = levels_of("numa:2 package:2 core:2", 8);
  ASSERT_THAT(kinds(groups), ElementsAre(Level::package, Level::numa));
  EXPECT_EQ(Grouping(groups[0].group_of).groups(), 4);
  const auto sub_numa = levels_of("package:2 l3:1 numa:2 core:2", 8);  // sub-NUMA clustering: one L3 over two NUMA nodes
  ASSERT_THAT(kinds(sub_numa), ElementsAre(Level::numa, Level::package));
}

TEST(Levels, RanksScatteredOverHosts) {
  std::vector<RankLocation> ranks(6);
  for (std::size_t r = 0; r < ranks.size(); ++r) ranks[r].host = static_cast<int>(r % 2);
  const auto groups = levels(ranks);
  ASSERT_THAT(kinds(groups), ElementsAre(Level::host));
  EXPECT_THAT(members(groups[0]), ElementsAre(ElementsAre(0, 2, 4), ElementsAre(1, 3, 5)));
}

TEST(Locate, WhatTheBindingDecidesAndNothingElse) {
  const Topology t = *load_topology(test::fixture_path("small.xml"));
  const RankLocation core = locate(t, std::vector<int>{2, 3}, 5);
  EXPECT_EQ(core,
            (RankLocation{.host = 5, .package = 0, .numa = 0, .l3 = 0, .core = 1, .oversubscribed = false, .cpus = {2, 3}}));
  const RankLocation package = locate(t, std::vector<int>{0, 1, 2, 3}, 0);
  EXPECT_EQ(
      package,
      (RankLocation{.host = 0, .package = 0, .numa = 0, .l3 = 0, .core = -1, .oversubscribed = false, .cpus = {0, 1, 2, 3}}));
  const RankLocation anywhere = locate(t, std::vector<int>{0, 1, 2, 3, 5}, 0);
  EXPECT_EQ(anywhere,
            (RankLocation{
                .host = 0, .package = -1, .numa = -1, .l3 = -1, .core = -1, .oversubscribed = false, .cpus = {0, 1, 2, 3, 5}}));
  const RankLocation unknown = locate(t, std::vector<int>{99}, 0);
  EXPECT_EQ(unknown,
            (RankLocation{.host = 0, .package = -1, .numa = -1, .l3 = -1, .core = -1, .oversubscribed = false, .cpus = {99}}));
}

TEST(NearestLevel, IsWhatTwoRanksShare) {
  const auto r = *place(*load_topology("node:2 package:2 numa:2 l3:2 core:2"), 64);
  EXPECT_EQ(nearest_level(r[0], r[32]), Level::core);
  EXPECT_EQ(nearest_level(r[0], r[1]), Level::l3);
  EXPECT_EQ(nearest_level(r[0], r[2]), Level::numa);
  EXPECT_EQ(nearest_level(r[0], r[4]), Level::package);
  EXPECT_EQ(nearest_level(r[0], r[8]), Level::host);
  EXPECT_EQ(nearest_level(r[0], r[16]), Level::network);
  EXPECT_EQ(nearest_level(RankLocation{}, RankLocation{}), Level::host);
}

TEST(Assemble, StoresEqualMachinesOnce) {
  Topology big = *load_topology("package:2 core:4"), small = *load_topology("core:2"), twin = big;
  twin.nodes[0].name = "another name";
  const std::vector<std::uint64_t> prints = {fingerprint(big), fingerprint(small), fingerprint(twin), fingerprint(small)};
  EXPECT_THAT(describing_ranks(prints), ElementsAre(0, 1));
  const std::vector<RankLocation> ranks(4);
  const std::vector<std::string> json = {to_json(big), to_json(small)};
  const auto placement = assemble(ranks, prints, json);
  ASSERT_TRUE(placement) << placement.error().to_string();
  EXPECT_EQ(placement->machines.size(), 2u);
  EXPECT_THAT(placement->machine_of_rank, ElementsAre(0, 1, 0, 1));
  EXPECT_DOUBLE_EQ(between(*placement, Level::host).latency_us, between(big, Level::host).latency_us);
}

TEST(Assemble, LiarsAndGarbageAreNamed) {
  const Topology machine = *load_topology("core:2");
  const std::vector<std::uint64_t> prints = {fingerprint(machine), 42};
  const auto liar = assemble(std::vector<RankLocation>(2), prints, std::vector<std::string>{to_json(machine), to_json(machine)});
  ASSERT_FALSE(liar);
  EXPECT_EQ(liar.error().code(), Code::protocol);
  EXPECT_EQ(liar.error().peer(), 1);
  EXPECT_THAT(liar.error().to_string(), HasSubstr("rank 1"));
  const auto garbage = assemble(std::vector<RankLocation>(2), prints, std::vector<std::string>{"{", "{"});
  ASSERT_FALSE(garbage);
  EXPECT_THAT(garbage.error().to_string(), HasSubstr("rank 0"));
  EXPECT_FALSE(assemble(std::vector<RankLocation>(1), prints, std::vector<std::string>{"{", "{"}));
}

TEST(OfflinePlacement, PlacesOnOneDescription) {
  const auto placement = offline_placement(*load_topology("node:2 core:2"), 4);
  ASSERT_TRUE(placement);
  EXPECT_EQ(placement->machines.size(), 1u);
  EXPECT_THAT(placement->machine_of_rank, ElementsAre(0, 0, 0, 0));
  EXPECT_EQ(placement->ranks[3].host, 1);
  EXPECT_FALSE(offline_placement(*load_topology("node:2 core:2"), 0));
}

std::vector<std::string> nearest(Topology topology, std::vector<int> cpus) {
  for (std::size_t id = 0; id < topology.nodes.size(); ++id)
    if (topology.nodes[id].kind == NodeKind::nic) topology.nodes[id].pci_bus_id = std::to_string(id);
  return nearest_nics(topology, cpus);
}

TEST(NearestNics, AreInTheInnermostThingThatHasSome) {
  const auto four = load_topology("package:2 numa:2 core:2 nic:4");
  ASSERT_TRUE(four);
  const std::vector<std::string> all = nearest(*four, {0, 1});
  EXPECT_EQ(all.size(), 1U);
  EXPECT_EQ(nearest(*four, {0}), all);
  EXPECT_NE(nearest(*four, {2}), all);
  EXPECT_EQ(nearest(*four, {0, 3}).size(), 2U) << "those of both NUMA nodes of the package";
  EXPECT_TRUE(nearest(*four, {0, 7}).empty()) << "over all of the host none is nearer than others";
  EXPECT_TRUE(nearest(*four, {99}).empty());

  const auto one = load_topology("package:2 numa:2 core:2 nic:1");
  ASSERT_TRUE(one);
  EXPECT_EQ(nearest(*one, {0}).size(), 1U);
  EXPECT_EQ(nearest(*one, {2}).size(), 1U) << "in the same package";
  EXPECT_TRUE(nearest(*one, {4}).empty());
}

}  // namespace
}  // namespace tutti
