#include "topology/sources/synthetic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "topology/sources/presets.h"

namespace tutti {
namespace {

using ::testing::HasSubstr;

Topology make(std::string_view text) {
  auto topology = topology_from_synthetic(text);
  if (!topology) {
    ADD_FAILURE() << text << ": " << topology.error().to_string();
    return {};
  }
  return std::move(*topology);
}

int count(const Topology& t, NodeKind kind) {
  return static_cast<int>(std::count_if(t.nodes.begin(), t.nodes.end(), [&](const Node& n) { return n.kind == kind; }));
}

TEST(Synthetic, HostsNumaNodesAndCores) {
  const Topology t = make("node:4 numa:2 core:8");
  EXPECT_EQ(hosts(t), 4);
  EXPECT_EQ(count(t, NodeKind::numa), 8);
  EXPECT_EQ(count(t, NodeKind::core), 64);
  EXPECT_EQ(count(t, NodeKind::net_switch), 1);
  EXPECT_EQ(t.links.size(), 4u);
  EXPECT_EQ(usable_cores(t, 3).size(), 16u);
  EXPECT_EQ(t.nodes[static_cast<std::size_t>(usable_cores(t, 3).back())].cpus, std::vector<int>{15});
}

TEST(Synthetic, OneHostIsMeantWhenNoneIsSaid) {
  const Topology t = make("pack:2 core:4 pu:1");
  EXPECT_EQ(hosts(t), 1);
  EXPECT_EQ(count(t, NodeKind::package), 2);
  EXPECT_EQ(count(t, NodeKind::core), 8);
  EXPECT_EQ(count(t, NodeKind::net_switch), 0);
}

TEST(Synthetic, HwlocsOwnStrings) {
  const Topology t = make(
      "Package:2 [NUMANode(memory=8GiB)] L3Cache:1(size=32MiB indexes=2*3:4*5) L2:4(size=1MiB) L1d:1 Core:1 PU:2(indexes=0,2,1)");
  EXPECT_EQ(count(t, NodeKind::numa), 2);
  EXPECT_EQ(count(t, NodeKind::l3), 2);
  EXPECT_EQ(count(t, NodeKind::core), 8);
  const CacheSizes sizes = cache_sizes(t);
  EXPECT_EQ(sizes, (CacheSizes{1u << 20, 32u << 20, 4}));
  EXPECT_EQ(std::find_if(t.nodes.begin(), t.nodes.end(), [](const Node& n) { return n.kind == NodeKind::numa; })->memory_bytes,
            8ull << 30);
  EXPECT_EQ(count(make("numa:2 pu:4"), NodeKind::core), 8);
  EXPECT_EQ(count(make("die:2 group:2 core:1"), NodeKind::core), 4);
}

TEST(Synthetic, RanksShareTheLastCacheThereIs) {
  const Topology t = make("node:2 l3:2(size=32MiB) l2:4(size=1MiB) core:1");
  EXPECT_EQ(cache_share(t, 1), 32u << 20);
  EXPECT_EQ(cache_share(t, 2, 1), 16u << 20) << "they may well sit side by side";
  EXPECT_EQ(cache_share(t, 100), 8u << 20) << "no more than its cores use it at once";
  EXPECT_EQ(cache_share(make("l2:4(size=1MiB) core:1"), 4), 1u << 20);
  EXPECT_EQ(cache_share(make("core:4"), 4), 0u);
}

TEST(Synthetic, DevicesAreSpreadOverNumaNodes) {
  const Topology t =
      make("node:2 numa:2 core:1 gpu:4 nic:2 net=100Gb/s net_latency=1500ns nvlink=300GB/s pcie=32GB/s gpu_memory=80GiB");
  EXPECT_EQ(count(t, NodeKind::gpu), 8);
  EXPECT_EQ(count(t, NodeKind::nic), 4);
  EXPECT_EQ(count(t, NodeKind::nvswitch), 2);
  std::vector<int> gpus_of_numa(t.nodes.size(), 0);
  for (const Node& n : t.nodes) {
    if (n.kind != NodeKind::gpu) continue;
    EXPECT_EQ(n.memory_bytes, 80ull << 30);
    ++gpus_of_numa[static_cast<std::size_t>(n.parent)];
  }
  EXPECT_EQ(*std::max_element(gpus_of_numa.begin(), gpus_of_numa.end()), 2);
  const LinkParameters network = between(t, Level::network);
  EXPECT_DOUBLE_EQ(network.bandwidth_gbps, 2 * 12.5) << "side by side";
  EXPECT_DOUBLE_EQ(network.latency_us, 1.5);
  EXPECT_EQ(network.origin, Origin::synthetic);
}

TEST(Synthetic, ThousandsOfHosts) {
  const Topology t = make("node:2000 package:2 core:32");
  EXPECT_EQ(hosts(t), 2000);
  EXPECT_EQ(count(t, NodeKind::core), 128000);
}

// Bandwidths of the network between switches, ascending.
std::vector<double> uplinks(const Topology& t) {
  std::vector<double> result;
  for (const Link& link : t.links) {
    const auto is_switch = [&](NodeId id) { return t.nodes[static_cast<std::size_t>(id)].kind == NodeKind::net_switch; };
    if (is_switch(link.a) && is_switch(link.b)) result.push_back(link.bandwidth_gbps);
  }
  std::sort(result.begin(), result.end());
  return result;
}

TEST(Synthetic, HostsKnownByName) {
  const Topology t = make("dgx-h100:16");
  EXPECT_EQ(hosts(t), 16);
  EXPECT_EQ(count(t, NodeKind::gpu), 128);
  EXPECT_EQ(count(t, NodeKind::nvswitch), 16);
  EXPECT_EQ(count(t, NodeKind::nic), 128);
  EXPECT_EQ(usable_cores(t, 15).size(), 112u);
  EXPECT_EQ(count(t, NodeKind::net_switch), 9) << "8 rails and what joins them";
  EXPECT_EQ(uplinks(t), std::vector<double>(8, 16 * 50.0));
  for (const Link& link : t.links) {
    const Node& a = t.nodes[static_cast<std::size_t>(link.a)];
    const Node& b = t.nodes[static_cast<std::size_t>(link.b)];
    if (link.kind == LinkKind::nvlink) {
      EXPECT_EQ(link.bandwidth_gbps, 450);
    }
    if (a.kind == NodeKind::nic) {
      EXPECT_EQ("rail " + a.name.substr(3), b.name) << "NIC i is on rail i";
    }
    if (b.kind == NodeKind::gpu && link.kind == LinkKind::pcie) {
      EXPECT_EQ(a.kind, NodeKind::pci_switch);
    }
  }
}

TEST(Synthetic, EveryKnownHostIsAGoodGraphAloneAndInNumbers) {
  for (const Preset& preset : presets()) {
    const Topology one = make(preset.name);
    EXPECT_EQ(hosts(one), 1);
    EXPECT_EQ(count(one, NodeKind::net_switch), 1) << "no rails where there is nothing to join";
    EXPECT_GT(count(one, NodeKind::gpu), 0);
    const Topology three = make(std::string(preset.name) + ":3");
    EXPECT_EQ(hosts(three), 3);
    EXPECT_EQ(count(three, NodeKind::net_switch), count(one, NodeKind::nic) + 1);
    EXPECT_EQ(*load_topology(preset.name), one) << "not taken for a file";
  }
}

TEST(Synthetic, WhatIsSaidBesideAKnownHostCounts) {
  const Topology t = make("node:4 dgx-a100 nic:2 net=100GB/s");
  EXPECT_EQ(hosts(t), 4);
  EXPECT_EQ(count(t, NodeKind::nic), 8);
  EXPECT_EQ(count(t, NodeKind::net_switch), 3);
  EXPECT_EQ(between(t, Level::network, HostLinks::fastest).bandwidth_gbps, 100);
  EXPECT_EQ(between(t, Level::network).bandwidth_gbps, 2 * 100);
  EXPECT_EQ(count(make("DGX-A100:2 oversubscription=4"), NodeKind::gpu), 16);
  EXPECT_EQ(uplinks(make("dgx-a100:2 oversubscription=4")), std::vector<double>(8, 2 * 25 / 4.0));
  const Topology torus = make("torus:2x2 dgx-h100");
  EXPECT_EQ(torus_dimensions(torus), (std::vector<int>{2, 2}));
  EXPECT_EQ(count(torus, NodeKind::gpu), 32);
  EXPECT_EQ(count(torus, NodeKind::net_switch), 0);
}

TEST(Synthetic, GpusInPairs) {
  const Topology t = make("core:1 gpu:4 xgmi=64GB/s");
  EXPECT_EQ(t.links.size(), 6u);
  EXPECT_EQ(t.links.front().kind, LinkKind::xgmi);
}

TEST(Synthetic, Torus) {
  const Topology t = make("torus:4x3x2 core:8 link=50GB/s latency=1us");
  EXPECT_EQ(hosts(t), 24);
  EXPECT_EQ(t.links.size(), 24u + 24u + 12u) << "two hosts of one dimension have one link";
  EXPECT_EQ(torus_dimensions(t), (std::vector<int>{4, 3, 2}));
  const LinkParameters network = between(t, Level::network);
  EXPECT_EQ(network.bandwidth_gbps, 50);
  EXPECT_EQ(network.latency_us, 1);
  EXPECT_EQ(usable_cores(make("torus:3x3"), 8).size(), 1u) << "hosts about which nothing is said";
  EXPECT_EQ(make("torus:1").links.size(), 0u);
}

TEST(Synthetic, DirectionsOfATorusTakeTheirOwnNics) {
  const Topology t = make("torus:3x3 core:1 nic:4");
  std::vector<int> links_of(t.nodes.size(), 0);
  for (const Link& link : t.links) {
    ++links_of[static_cast<std::size_t>(link.a)];
    ++links_of[static_cast<std::size_t>(link.b)];
  }
  for (std::size_t id = 0; id < t.nodes.size(); ++id) EXPECT_EQ(links_of[id], t.nodes[id].kind == NodeKind::nic ? 1 : 0);
  EXPECT_EQ(torus_dimensions(t), (std::vector<int>{3, 3}));
  EXPECT_EQ(torus_dimensions(make("torus:5x4 core:1 nic:3")), (std::vector<int>{5, 4}));
}

TEST(Synthetic, FatTree) {
  const Topology t = make("fat-tree:2x4x16 core:2 oversubscription=2x1 net=10GB/s net_latency=1us");
  EXPECT_EQ(hosts(t), 128);
  EXPECT_EQ(count(t, NodeKind::net_switch), 8 + 2 + 1);
  std::vector<double> expected(8, 160);     // what comes from 16 hosts goes up
  expected.insert(expected.end(), 2, 320);  // and half of that of 4 switches
  EXPECT_EQ(uplinks(t), expected);
  EXPECT_EQ(between(t, Level::network).bandwidth_gbps, 10) << "of a host, not of a switch";
  EXPECT_TRUE(torus_dimensions(t).empty());
  EXPECT_EQ(uplinks(make("fat-tree:2x2 core:1 nic:3 net=10GB/s")), std::vector<double>(2, 60));
  EXPECT_EQ(count(make("fat-tree:5 core:1"), NodeKind::net_switch), 1);
  const Topology unknown = make("fat-tree:2x8 core:1 oversubscription=2");
  EXPECT_EQ(uplinks(unknown), std::vector<double>(2, 4 * between(unknown, Level::network).bandwidth_gbps))
      << "in proportion to what a host is taken to have";
}

TEST(Synthetic, Rails) {
  const Topology t = make("node:3 core:1 nic:4 rails:2 net=10GB/s oversubscription=1.5");
  EXPECT_EQ(count(t, NodeKind::net_switch), 3);
  EXPECT_EQ(uplinks(t), std::vector<double>(2, 40)) << "two NICs of each host on a rail";
}

TEST(Synthetic, ErrorsNameThePlace) {
  for (const auto& [text, place] : {std::pair{"node:4 nuna:2 core:8", "character 8: \"nuna:2\""},
                                    {"core:2 net=12", "character 8: net=12"},
                                    {"core:2  net=1GB/s link=2GB/s", "first as \"net=1GB/s\" at character 9"},
                                    {"node:2 torus:4x4 core:1", "first as \"node:2\" at character 1"}}) {
    const auto topology = topology_from_synthetic(text);
    ASSERT_FALSE(topology) << text;
    EXPECT_THAT(topology.error().to_string(), HasSubstr(place));
  }
}

struct Bad {
  const char* spec;
  const char* reason;
};
TEST(Synthetic, WhereOnlyANetworkIsSaidHostsAreSmall) {
  EXPECT_EQ(make("node:3 rails:2"), make("node:3 core:1 nic:2 rails:2"));
  EXPECT_EQ(make("node:3 nic:4 rails:2"), make("node:3 core:1 nic:4 rails:2"));
  EXPECT_EQ(make("fat-tree:2x2"), make("fat-tree:2x2 core:1"));
}

class SyntheticRefuses : public ::testing::TestWithParam<Bad> {};

TEST_P(SyntheticRefuses, AndSaysWhy) {
  const auto topology = topology_from_synthetic(GetParam().spec);
  ASSERT_FALSE(topology) << GetParam().spec;
  EXPECT_EQ(topology.error().code(), Code::invalid_argument);
  EXPECT_THAT(topology.error().to_string(), HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(
    Specs, SyntheticRefuses,
    ::testing::Values(
        Bad{"", "there is no core:N"}, Bad{"node:4", "there is no core:N"}, Bad{"gpu:8", "there is no core:N"},
        Bad{"node:4 nuna:2 core:8", "\"nuna:2\" is unknown"}, Bad{"core", "has no count"}, Bad{"core:", "not a number"},
        Bad{"core:0", "not a number from 1"}, Bad{"core:-3", "not a number"}, Bad{"core:1x", "something odd"},
        Bad{"core:99999999999999999999999", "not a number"}, Bad{"core:2 core:2", "stands twice"},
        Bad{"numa:2 numa:2 core:2", "stands twice"}, Bad{"numa:2 node:2 core:2", "must come first"},
        Bad{"core:2 numa:2", "inside of core"}, Bad{"core:2 pu:2 l2:2", "inside of pu"}, Bad{"core:1 pu:1000", "in one core"},
        Bad{"node:1000000 core:1000000", "things in all"}, Bad{"core:4 gpu:1000000 node:3", "must come first"},
        Bad{"node:1000 core:4 gpu:100000", "things in all"}, Bad{"node:2 core:2 net=12", "no speed"},
        Bad{"node:2 core:2 net=fast", "no speed"}, Bad{"node:2 core:2 net=-1GB/s", "no speed"},
        Bad{"node:2 core:2 net=1e999GB/s", "no speed"}, Bad{"core:2 net_latency=2", "no time"},
        Bad{"core:2 memory=lots", "no size"}, Bad{"core:2 speed=3", "unknown option speed="},
        Bad{"core:2(colour=red)", "unknown attribute colour"}, Bad{"core:2(size", "something odd"},
        Bad{"numa:2 [core:2]", "only [numa]"}, Bad{"numa:2 [numa] core:2", "numa twice"}, Bad{"[numa", "not closed"},
        Bad{"core:2 [numa]", "inside of a core"}, Bad{"l3:2(size=x) core:1", "no size"},
        Bad{"core:4 gpu:2 gpu:2", "stands twice"}, Bad{"torus", "has no shape"}, Bad{"torus:", "number 1 of its shape"},
        Bad{"torus:4x", "number 2 of its shape"}, Bad{"torus:4x0x4", "number 2 of its shape"},
        Bad{"torus:4x-4", "number 2 of its shape"}, Bad{"torus:4 x4", "unknown"},
        Bad{"torus:99999999999999999999", "number 1 of its shape"}, Bad{"torus:1000x1000x1000", "more than 1000000 hosts"},
        Bad{"torus:2x2x2x2x2x2x2x2x2", "more than 8 dimensions"},
        Bad{"torus:4x4 fat-tree:4x4 core:1", "the way hosts are joined stands twice"},
        Bad{"torus:4x4 node:16 core:1", "the number of hosts stands twice"},
        Bad{"dgx-h100:2 torus:2", "the number of hosts stands twice"}, Bad{"dgx-h100:0", "not a number from 1"},
        Bad{"dgx-h100:2x", "something odd"}, Bad{"dgx-h100(2)", "is a name"},
        Bad{"dgx-h100 dgx-a100", "a host by its name stands twice"}, Bad{"dgx-h100:2 core:4", "says already how"},
        Bad{"core:4 dgx-h100", "says already how"}, Bad{"dgx-h100:100000", "things in all"},
        Bad{"dgx-z80:2", "the hosts dgx-2, dgx-a100"}, Bad{"core:1 gpu:20000 xgmi=1GB/s", "links in all"},
        Bad{"core:2 nic:2 rails:4", "of which a host has 2"}, Bad{"core:2 rails:1", "of which a host has 0"},
        Bad{"rails:8", "write node:4 rails:8"}, Bad{"nic:8 rails:8", "does not say which hosts"},
        Bad{"dgx-h10:2", "is dgx-h100 meant?"}, Bad{"cores:2", "is core meant?"}, Bad{"core:2 nets=1GB/s", "is net= meant?"},
        Bad{"fat-tree:2x2 core:1 oversubscription=0.5", "a number from 1"},
        Bad{"fat-tree:2x2 core:1 oversubscription=2x2", "2 numbers of oversubscription, but one level"},
        Bad{"fat-tree:4 core:1 oversubscription=2", "there are none"}, Bad{"torus:2x2 oversubscription=2", "there are none"},
        Bad{"core:2 oversubscription=2x", "a number from 1"}, Bad{"core:1 gpu:2 xgmi=1GB/s nvlink=1GB/s", "both"},
        Bad{"core:2 net=1GB/s net=2GB/s", "this option stands twice"}));

}  // namespace
}  // namespace tutti
