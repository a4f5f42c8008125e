// Where GPUs are: groups that NVLink or xGMI joins, leaf switches, and what ranks on them pay.
#include "topology/gpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "machines.h"
#include "tutti/route_search.h"

namespace tutti {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

std::vector<int> groups(const Topology& t) { return nvlink_groups(t, gpus(t)); }

TEST(NvlinkGroups, AreThoseWhereEachReachesEach) {
  EXPECT_THAT(groups(test::dgx1()), ElementsAre(0, 0, 0, 0, 1, 1, 1, 1));
  EXPECT_THAT(groups(test::pod({.hosts = 2, .gpus = 3})), ElementsAre(0, 0, 0, 1, 1, 1));
  EXPECT_THAT(groups(test::linked(5, test::all_pairs(5), LinkKind::xgmi, 50)), Each(0));
  EXPECT_THAT(groups(test::pcie_only(5)), Each(-1));
  EXPECT_THAT(groups(test::linked(3, {{0, 1}}, LinkKind::nvlink, 25)), ElementsAre(0, 0, -1));
}

TEST(NvlinkGroups, WiderLinksDecideWhereGroupsWouldBeUneven) {
  Topology t = test::linked(6, {{0, 1}, {2, 3}, {4, 5}}, LinkKind::xgmi, 200);
  const std::vector<NodeId> all = gpus(t);
  for (const auto& [a, b] : {std::pair(0, 2), std::pair(1, 2), std::pair(3, 4)})
    t.links.push_back({all[static_cast<std::size_t>(a)], all[static_cast<std::size_t>(b)], LinkKind::xgmi, Origin::file, 50, 0});
  EXPECT_THAT(groups(t), ElementsAre(0, 0, 1, 1, 2, 2));
}

TEST(Locations, NvlinkMayJoinHosts) {
  Topology t = test::pod({.hosts = 4, .gpus = 2, .nics = 1});
  // Hosts 0 and 1 plugged into one NVSwitch, 2 and 3 into another.
  std::vector<NodeId> switches;
  for (std::size_t id = 0; id < t.nodes.size(); ++id)
    if (t.nodes[id].kind == NodeKind::nvswitch) switches.push_back(static_cast<NodeId>(id));
  for (Link& link : t.links)
    for (std::size_t s = 1; s < 4; s += 2)
      if (link.b == switches[s]) link.b = switches[s - 1];
  const auto all = levels(locations(t, gpus(t)));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].level, Level::nvlink);
  EXPECT_THAT(all[0].group_of, ElementsAre(0, 0, 0, 0, 1, 1, 1, 1));
  const auto found = search_routes(t);
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_GE(found->ring_gbps(), 50);
}

TEST(Locations, NearestLevelOfGpus) {
  const Topology t = test::pod({.hosts = 4, .gpus = 2, .nics = 2, .hosts_per_leaf = 2, .uplink = 50});
  const auto at = locations(t, gpus(t));
  EXPECT_EQ(nearest_level(at[0], at[1]), Level::nvlink);
  EXPECT_EQ(nearest_level(at[0], at[2]), Level::leaf);
  EXPECT_EQ(nearest_level(at[0], at[4]), Level::network);
  const Topology pcie = test::pcie_only(4);
  const auto plugged = locations(pcie, gpus(pcie));
  EXPECT_EQ(nearest_level(plugged[0], plugged[1]), Level::package);
  EXPECT_EQ(nearest_level(plugged[0], plugged[2]), Level::host);
  EXPECT_EQ(plugged[3].gpu, 3);
}

TEST(PricesOnGpus, FollowTheLinksBetweenThem) {
  const auto prices = [](const Topology& t) {
    const auto ends = gpus(t);
    return between(t, ends, levels(locations(t, ends)));
  };
  const auto pod = prices(test::pod({.hosts = 4, .hosts_per_leaf = 2, .uplink = 25}));
  ASSERT_EQ(pod.size(), 3u);
  EXPECT_DOUBLE_EQ(pod[0].bandwidth_gbps, 450);
  EXPECT_DOUBLE_EQ(pod[1].bandwidth_gbps, 50);
  EXPECT_DOUBLE_EQ(pod[2].bandwidth_gbps, 25);
  EXPECT_LT(pod[0].latency_us, pod[1].latency_us);
  const auto pcie = prices(test::pcie_only(8, 12, 5));
  ASSERT_EQ(pcie.size(), 2u);
  EXPECT_DOUBLE_EQ(pcie[0].bandwidth_gbps, 12);
  EXPECT_DOUBLE_EQ(pcie[1].bandwidth_gbps, 5);
  const auto single = prices(test::linked(1, {}, LinkKind::nvlink, 25));
  ASSERT_EQ(single.size(), 1u);
  EXPECT_GT(single[0].bandwidth_gbps, 0);
}

}  // namespace
}  // namespace tutti
