// Which links of hosts carry messages between them, and how far the hosts are apart.
#include <gtest/gtest.h>

#include <algorithm>

#include "tutti/topology.h"

namespace tutti {
namespace {

Topology loaded(std::string_view text) { return *load_topology(text); }

LinkParameters network(std::string_view text, HostLinks links = HostLinks::expected) {
  return between(loaded(text), Level::network, links);
}

TEST(HostLinks, RdmaUsesThemSideBySideAndTcpTheFastest) {
  constexpr std::string_view kFour = "node:2 core:2 nic:4 net=25GB/s net_latency=2us";
  EXPECT_EQ(expected_links(loaded(kFour)), HostLinks::all_rdma) << "no kernel is so fast";
  EXPECT_EQ(links_side_by_side(loaded(kFour)), 4);
  EXPECT_DOUBLE_EQ(network(kFour).bandwidth_gbps, 100);
  EXPECT_DOUBLE_EQ(network(kFour).latency_us, 2);
  EXPECT_EQ(links_side_by_side(loaded(kFour), HostLinks::fastest), 1);
  EXPECT_DOUBLE_EQ(network(kFour, HostLinks::fastest).bandwidth_gbps, 25);
  EXPECT_DOUBLE_EQ(network(kFour, HostLinks::fastest).latency_us, 10) << "through two kernels";
  constexpr std::string_view kEthernet = "node:2 core:2 nic:4 net=25GB/s";
  EXPECT_EQ(expected_links(loaded(kEthernet)), HostLinks::fastest);
  EXPECT_DOUBLE_EQ(network(kEthernet).bandwidth_gbps, 25);
  EXPECT_DOUBLE_EQ(network(kEthernet).latency_us, 10);
}

TEST(HostLinks, ALatencyIsEnoughToExpectRdma) {
  EXPECT_EQ(expected_links(loaded("node:2 core:2 net_latency=2us")), HostLinks::all_rdma);
  EXPECT_DOUBLE_EQ(network("node:2 core:2 net_latency=2us").latency_us, 2);
  EXPECT_DOUBLE_EQ(network("node:2 core:2 net_latency=50us").latency_us, 50);
}

TEST(HostLinks, AreEightAtMost) {
  constexpr std::string_view kSixteen = "node:2 core:2 nic:16 net=10GB/s net_latency=2us";
  EXPECT_EQ(links_side_by_side(loaded(kSixteen)), 8);
  EXPECT_DOUBLE_EQ(network(kSixteen).bandwidth_gbps, 80);
}

TEST(HostLinks, TheHostThatHasLeastDecides) {
  Topology uneven = loaded("node:2 core:2 nic:2 net=10GB/s net_latency=2us");
  std::erase_if(uneven.links, [&](const Link& link) { return link.a == uneven.links.back().a; });
  EXPECT_EQ(links_side_by_side(uneven), 1);
  EXPECT_DOUBLE_EQ(between(uneven, Level::network).bandwidth_gbps, 10);
  uneven.links.back().latency_us = 20;
  EXPECT_EQ(expected_links(uneven), HostLinks::fastest) << "one host has no RDMA";
}

TEST(HostLinks, ANameSaysWhatALatencyDoesNot) {
  Topology named = loaded("node:2 core:2 nic:2 net=10GB/s");
  const auto call_all = [&](std::string_view name) {
    for (Node& node : named.nodes)
      if (node.kind == NodeKind::nic) node.name = name;
  };
  for (const std::string_view name : {"mlx5_0", "ib0", "rocep1s0", "hfi1_0", "rxe0", "bnxt_re0"}) {
    call_all(name);
    EXPECT_EQ(expected_links(named), HostLinks::all_rdma) << name;
  }
  for (const std::string_view name : {"eth0", "ens1f0", "rdmap16s27", ""}) {
    call_all(name);
    EXPECT_EQ(expected_links(named), HostLinks::fastest) << name;
  }
  call_all("rdmap16s27");
  for (Link& link : named.links) link.latency_us = 2;
  EXPECT_EQ(expected_links(named), HostLinks::fastest) << "Amazon's is another protocol";
}

TEST(HostLinks, OnATorusEachLeadsElsewhere) {
  EXPECT_DOUBLE_EQ(network("torus:4x4 core:1 nic:4 net=10GB/s net_latency=2us").bandwidth_gbps, 10);
  EXPECT_DOUBLE_EQ(network("torus:4x4 net=10GB/s net_latency=2us").bandwidth_gbps, 10);
}

TEST(HostLinks, MoreSwitchesOnTheWayTakeLonger) {
  const Topology tree = loaded("fat-tree:2x4x16 net_latency=2us net=10GB/s");
  EXPECT_DOUBLE_EQ(between(tree, Level::leaf).latency_us, 2);
  EXPECT_DOUBLE_EQ(between(tree, Level::network).latency_us, 2 + 4 * 2) << "two switches up, and two down";
  EXPECT_DOUBLE_EQ(between(tree, Level::network).bandwidth_gbps, between(tree, Level::leaf).bandwidth_gbps);
  for (const std::string_view alike :
       {"fat-tree:2x4x16", "fat-tree:16 net_latency=2us", "node:4 core:1 nic:4 rails:4 net_latency=2us"})
    EXPECT_DOUBLE_EQ(network(alike).latency_us, between(loaded(alike), Level::leaf).latency_us) << alike;
}

TEST(HostLinks, OfWaysOfDifferentLengthTheShortestCounts) {
  Topology two_ways = loaded("fat-tree:2x2 net_latency=2us net=10GB/s");
  const auto is_switch = [&](NodeId id) { return two_ways.nodes[static_cast<std::size_t>(id)].kind == NodeKind::net_switch; };
  std::vector<NodeId> leaves;
  for (const Link& link : two_ways.links)
    if (is_switch(link.a) && is_switch(link.b)) leaves.push_back(is_switch(link.a) ? link.a : link.b);
  ASSERT_EQ(leaves.size(), 2U);
  ASSERT_DOUBLE_EQ(between(two_ways, Level::network).latency_us, 6);
  two_ways.links.push_back({leaves[0], leaves[1], LinkKind::network, Origin::synthetic, 10, 0.5});
  EXPECT_DOUBLE_EQ(between(two_ways, Level::network).latency_us, 2.5);
}

TEST(HostLinks, PodsCountInThem) {
  const Topology tree = loaded("fat-tree:2x4 core:1 nic:2 net=10GB/s net_latency=2us oversubscription=4");
  EXPECT_EQ(tapered_pods(tree), (std::vector<Pods>{{4, 1}})) << "2 of 8 links, of which a host uses two at once";
  EXPECT_EQ(tapered_pods(tree, HostLinks::fastest), (std::vector<Pods>{{4, 2}}));
}

}  // namespace
}  // namespace tutti
