#include "topology/sources/synthetic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

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
  EXPECT_DOUBLE_EQ(network.bandwidth_gbps, 12.5);
  EXPECT_DOUBLE_EQ(network.latency_us, 1.5);
  EXPECT_EQ(network.origin, Origin::synthetic);
}

TEST(Synthetic, ThousandsOfHosts) {
  const Topology t = make("node:2000 package:2 core:32");
  EXPECT_EQ(hosts(t), 2000);
  EXPECT_EQ(count(t, NodeKind::core), 128000);
}

struct Bad {
  const char* spec;
  const char* reason;
};
class SyntheticRefuses : public ::testing::TestWithParam<Bad> {};

TEST_P(SyntheticRefuses, AndSaysWhy) {
  const auto topology = topology_from_synthetic(GetParam().spec);
  ASSERT_FALSE(topology) << GetParam().spec;
  EXPECT_EQ(topology.error().code(), Code::invalid_argument);
  EXPECT_THAT(topology.error().to_string(), HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(
    Specs, SyntheticRefuses,
    ::testing::Values(Bad{"", "there is no core:N"}, Bad{"node:4", "there is no core:N"}, Bad{"gpu:8", "there is no core:N"},
                      Bad{"node:4 nuna:2 core:8", "\"nuna:2\" is unknown"}, Bad{"core", "has no count"},
                      Bad{"core:", "not a number"}, Bad{"core:0", "not a number from 1"}, Bad{"core:-3", "not a number"},
                      Bad{"core:1x", "something odd"}, Bad{"core:99999999999999999999999", "not a number"},
                      Bad{"core:2 core:2", "stands twice"}, Bad{"numa:2 numa:2 core:2", "stands twice"},
                      Bad{"numa:2 node:2 core:2", "must come first"}, Bad{"core:2 numa:2", "inside of core"},
                      Bad{"core:2 pu:2 l2:2", "inside of pu"}, Bad{"core:1 pu:1000", "in one core"},
                      Bad{"node:1000000 core:1000000", "things in all"}, Bad{"core:4 gpu:1000000 node:3", "must come first"},
                      Bad{"node:1000 core:4 gpu:100000", "things in all"}, Bad{"node:2 core:2 net=12", "no speed"},
                      Bad{"node:2 core:2 net=fast", "no speed"}, Bad{"node:2 core:2 net=-1GB/s", "no speed"},
                      Bad{"node:2 core:2 net=1e999GB/s", "no speed"}, Bad{"core:2 net_latency=2", "no time"},
                      Bad{"core:2 memory=lots", "no size"}, Bad{"core:2 speed=3", "unknown option speed="},
                      Bad{"core:2(colour=red)", "unknown attribute colour"}, Bad{"core:2(size", "something odd"},
                      Bad{"numa:2 [core:2]", "only [numa]"}, Bad{"numa:2 [numa] core:2", "numa twice"},
                      Bad{"[numa", "not closed"}, Bad{"core:2 [numa]", "inside of a core"}, Bad{"l3:2(size=x) core:1", "no size"},
                      Bad{"core:4 gpu:2 gpu:2", "stands twice"}));

}  // namespace
}  // namespace tutti
