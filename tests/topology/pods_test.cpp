// Tapered networks of switches, found in the links.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "topology/gpus.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<Pods> pods(std::string_view text) { return tapered_pods(*load_topology(text)); }

TEST(Pods, AreThereWhereLessGoesUpThanComesFromBelow) {
  EXPECT_THAT(pods("fat-tree:4x16 net=10GB/s oversubscription=4"), ElementsAre(Pods{16, 4}));
  EXPECT_THAT(pods("fat-tree:4x16 net=10GB/s"), IsEmpty()) << "as much goes up";
  EXPECT_THAT(pods("fat-tree:4x16 net=10GB/s oversubscription=1.25"), ElementsAre(Pods{16, 12.8}));
  EXPECT_THAT(pods("fat-tree:4"), IsEmpty()) << "one switch";
  EXPECT_THAT(pods("torus:4x4"), IsEmpty());
  EXPECT_THAT(pods("core:4"), IsEmpty());
  EXPECT_THAT(pods("node:4 core:1 nic:4 rails:4 oversubscription=4"), IsEmpty()) << "all hosts are on each rail";
}

TEST(Pods, AreThereAtEachLevel) {
  EXPECT_THAT(pods("fat-tree:2x4x16 oversubscription=2x1"), ElementsAre(Pods{64, 32})) << "above, not below";
  // Less comes up already, so the switches above are less than what hosts have, too.
  EXPECT_THAT(pods("fat-tree:2x4x16 oversubscription=1x2"), ElementsAre(Pods{16, 8}, Pods{64, 32}));
  EXPECT_THAT(pods("fat-tree:2x4x16 oversubscription=2x2"), ElementsAre(Pods{16, 8}, Pods{64, 16}));
}

TEST(Pods, CountInLinksOfWhateverSpeed) {
  EXPECT_EQ(pods("fat-tree:4x16 oversubscription=4"), pods("fat-tree:4x16 oversubscription=4 net=100GB/s")) << "unknown";
  EXPECT_THAT(pods("fat-tree:2x4 core:1 nic:2 oversubscription=4"), ElementsAre(Pods{4, 2})) << "of 8 links";
}

TEST(Pods, AreReadFromAFile) {
  const Topology t = *load_topology("fat-tree:4x4 oversubscription=2");
  EXPECT_EQ(tapered_pods(*topology_from_json(to_json(t))), tapered_pods(t));
}

TEST(Pods, AreNoneWhereNobodyKnowsOrTheyAreUneven) {
  const Topology whole = *load_topology("fat-tree:3x2 oversubscription=2");
  ASSERT_THAT(tapered_pods(whole), ElementsAre(Pods{2, 1}));
  Topology unknown = whole;
  for (Link& link : unknown.links)
    if (unknown.nodes[static_cast<std::size_t>(link.a)].kind == NodeKind::net_switch) link.bandwidth_gbps = 0;
  EXPECT_THAT(tapered_pods(unknown), IsEmpty());
  Topology moved = whole;  // the first host to the switch of the last one
  moved.links.front().b = moved.links[5].b;
  ASSERT_EQ(leaf_of_hosts(moved).front(), leaf_of_hosts(moved).back());
  EXPECT_THAT(tapered_pods(moved), IsEmpty());
}

TEST(Pods, HostsOfOneAreNeighbours) {
  const auto places = place_on_hosts(*load_topology("fat-tree:3x2 oversubscription=2"), 6);
  ASSERT_TRUE(places);
  const auto groups = levels(*places);
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_EQ(groups[0].level, Level::leaf);
  EXPECT_THAT(groups[0].group_of, ElementsAre(0, 0, 1, 1, 2, 2));
}

TEST(Pods, CoresThatAreHostsOfTheirOwnAreNeighboursAlike) {
  const auto on_cores = place(*load_topology("fat-tree:3x2 oversubscription=2"), 6);
  ASSERT_TRUE(on_cores);
  ASSERT_EQ(levels(*on_cores).size(), 1U);
  EXPECT_EQ(levels(*on_cores)[0].level, Level::leaf);
  const auto of_two = place(*load_topology("fat-tree:3x2 core:2"), 12);
  ASSERT_TRUE(of_two);
  EXPECT_NE(levels(*of_two).back().level, Level::leaf) << "hosts are the groups there";
}

// Ranks of a job, each on a host of its own; all describe this machine in the same way.
Placement job(std::string_view text, std::vector<int> hosts) {
  std::vector<RankLocation> ranks(hosts.size());
  for (std::size_t r = 0; r < hosts.size(); ++r) ranks[r].host = hosts[r];
  return {.machines = {*load_topology(text)}, .machine_of_rank = std::vector<int>(hosts.size()), .ranks = std::move(ranks)};
}

TEST(Pods, AJobHasThoseOfItsDescription) {
  Placement all = job("fat-tree:2x2 oversubscription=2", {0, 0, 1, 2, 3});
  ASSERT_EQ(described_network(all), &all.machines.front());
  plug_in(all);
  EXPECT_EQ(all.ranks[0].leaf, all.ranks[2].leaf);
  EXPECT_NE(all.ranks[2].leaf, all.ranks[3].leaf);
  Placement one_switch = job("node:3 core:1 nic:1", {0, 1, 2});
  plug_in(one_switch);
  EXPECT_EQ(one_switch.ranks[0].leaf, -1) << "tells nobody apart";
  EXPECT_EQ(described_network(job("fat-tree:2x2", {0, 1, 2})), nullptr) << "fewer hosts than described";
  EXPECT_EQ(described_network(job("fat-tree:2x2", {0, 2, 1, 3})), nullptr) << "numbered otherwise";
  EXPECT_EQ(described_network(job("core:4", {0, 0})), nullptr);
}

}  // namespace
}  // namespace tutti
