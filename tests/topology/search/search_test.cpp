#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "machines.h"
#include "tutti/route_search.h"

namespace tutti {
namespace {

using test::all_pairs;
using test::dgx1;
using test::linked;
using test::pcie_only;
using test::pod;
using ::testing::HasSubstr;

// Bandwidths as the topology gives them, and what routes put on them: counted without any of the search's own code.
class Links {
 public:
  explicit Links(const Topology& topology) {
    for (const Link& link : topology.links)
      for (const auto& ends : {std::pair(link.a, link.b), std::pair(link.b, link.a)}) carries_[ends] += link.bandwidth_gbps;
  }

  void use(const std::vector<NodeId>& hop, double gbps) {
    for (std::size_t i = 0; i + 1 < hop.size(); ++i) {
      const std::pair ends(hop[i], hop[i + 1]);
      ASSERT_TRUE(carries_.contains(ends)) << "nothing joins " << hop[i] << " and " << hop[i + 1];
      carries_[ends] -= gbps;
      EXPECT_GE(carries_[ends], -1e-6) << "too much from " << hop[i] << " to " << hop[i + 1];
    }
  }

 private:
  std::map<std::pair<NodeId, NodeId>, double> carries_;
};

void expect_sound_rings(const Topology& topology, const RouteSearch& s) {
  Links links(topology);
  for (const FoundRing& ring : s.rings) {
    std::vector<Rank> sorted = ring.order;
    std::sort(sorted.begin(), sorted.end());
    ASSERT_EQ(sorted.size(), s.ends.size());
    for (std::size_t r = 0; r < sorted.size(); ++r) ASSERT_EQ(sorted[r], static_cast<Rank>(r));
    ASSERT_EQ(ring.hops.size(), ring.order.size());
    for (std::size_t i = 0; i < ring.order.size(); ++i) {
      const Rank to = ring.order[(i + 1) % ring.order.size()];
      ASSERT_EQ(ring.hops[i].front(), s.ends[static_cast<std::size_t>(ring.order[i])]);
      ASSERT_EQ(ring.hops[i].back(), s.ends[static_cast<std::size_t>(to)]);
      links.use(ring.hops[i], ring.gbps);
    }
  }
}

void expect_sound_trees(const Topology& topology, const RouteSearch& s) {
  Links links(topology);
  for (const FoundTree& tree : s.trees) {
    ASSERT_EQ(tree.parent.size(), s.ends.size());
    ASSERT_EQ(tree.parent[0], kNoRank);
    int deepest = 0;
    for (std::size_t r = 1; r < tree.parent.size(); ++r) {
      ASSERT_GE(tree.parent[r], 0);
      ASSERT_EQ(tree.hops[r].front(), s.ends[static_cast<std::size_t>(tree.parent[r])]);
      ASSERT_EQ(tree.hops[r].back(), s.ends[r]);
      links.use(tree.hops[r], tree.gbps);
      int depth = 0;
      for (Rank at = static_cast<Rank>(r); at != 0; at = tree.parent[static_cast<std::size_t>(at)])
        ASSERT_LE(++depth, static_cast<int>(tree.parent.size())) << "rank " << r << " does not hang below rank 0";
      deepest = std::max(deepest, depth);
    }
    EXPECT_EQ(tree.depth, deepest);
  }
}

RouteSearch sound_search(const Topology& topology) {
  EXPECT_TRUE(check(topology)) << check(topology).error().to_string();
  auto found = search_routes(topology);
  EXPECT_TRUE(found) << found.error().to_string();
  if (!found) return {};
  expect_sound_rings(topology, *found);
  expect_sound_trees(topology, *found);
  EXPECT_LE(found->ring_gbps(), found->ring_bound_gbps * (1 + 1e-6));
  EXPECT_LE(found->tree_gbps(), found->tree_bound_gbps * (1 + 1e-6));
  EXPECT_LE(found->ring_bound_gbps, found->tree_bound_gbps * (1 + 1e-6));
  return std::move(*found);
}

void expect_rings(const RouteSearch& s, std::size_t count, double gbps, double least_ratio = 0.999) {
  EXPECT_EQ(s.rings.size(), count);
  EXPECT_NEAR(s.ring_gbps(), gbps, 1e-3 * gbps);
  EXPECT_GE(s.ring_gbps(), least_ratio * s.ring_bound_gbps) << "bound " << s.ring_bound_gbps;
}

void expect_trees(const RouteSearch& s, double gbps, int deepest, double least_ratio = 0.999) {
  EXPECT_NEAR(s.tree_gbps(), gbps, 1e-3 * gbps);
  EXPECT_GE(s.tree_gbps(), least_ratio * s.tree_bound_gbps) << "bound " << s.tree_bound_gbps;
  for (const FoundTree& tree : s.trees) EXPECT_LE(tree.depth, deepest);
}

TEST(Search, HypercubeMeshUsesAllSixLinksOfEveryGpu) {
  const RouteSearch s = sound_search(dgx1());
  expect_rings(s, 6, 150);
  expect_trees(s, 150, 7);
  EXPECT_EQ(s.trees.size(), 6u);
}

TEST(Search, ASwitchGivesOneRingAndTwoTreesItsBandwidth) {
  for (const int gpus : {2, 3, 5, 7, 8, 16}) {
    const RouteSearch s = sound_search(pod({.hosts = 1, .gpus = gpus, .nics = 0}));
    expect_rings(s, 1, 450);
    expect_trees(s, 450, gpus == 2 ? 1 : 4);
  }
}

TEST(Search, EveryRailHasARingThatEntersAndLeavesHostsThroughItsNic) {
  const Topology t = pod({.hosts = 4});
  const RouteSearch s = sound_search(t);
  expect_rings(s, 8, 400);
  std::set<NodeId> ports;
  for (const FoundRing& ring : s.rings) {
    ports.insert(ring.port);
    for (std::size_t i = 0; i < ring.order.size(); i += 8)  // host after host
      for (std::size_t j = i; j < i + 8; ++j) EXPECT_EQ(ring.order[i] / 8, ring.order[j] / 8);
    // It begins at the GPU that shares a PCIe switch with the NIC.
    EXPECT_EQ(t.nodes[static_cast<std::size_t>(ring.port)].parent,
              t.nodes[static_cast<std::size_t>(s.ends[static_cast<std::size_t>(ring.order[0])])].parent);
  }
  EXPECT_EQ(ports.size(), 8u);
  expect_trees(s, 400, 6);
}

TEST(Search, FewerNicsThanGpusAndOddCounts) {
  expect_rings(sound_search(pod({.hosts = 3, .gpus = 8, .nics = 1})), 1, 50);
  expect_rings(sound_search(pod({.hosts = 3, .gpus = 7, .nics = 2})), 2, 100);
  expect_rings(sound_search(pod({.hosts = 5, .gpus = 1, .nics = 1})), 1, 50);
  expect_trees(sound_search(pod({.hosts = 5, .gpus = 1, .nics = 1})), 50, 3);
  expect_rings(sound_search(pod({.hosts = 2, .gpus = 3, .nics = 4, .net = 25})), 4, 100);
}

TEST(Search, PcieTreesAreWalkedRoundOnce) {
  for (const int gpus : {2, 3, 4, 7, 8}) {
    const RouteSearch s = sound_search(pcie_only(gpus));
    expect_rings(s, 1, 12);
    expect_trees(s, 12, gpus - 1);
  }
  expect_rings(sound_search(pcie_only(8, 12, 5)), 1, 5);  // between packages is the narrowest
}

TEST(Search, XgmiRingsAndAllToAll) {
  const RouteSearch ring = sound_search(linked(4, {{0, 1}, {1, 2}, {2, 3}, {3, 0}}, LinkKind::xgmi, 50));
  expect_rings(ring, 2, 100);
  expect_trees(ring, 100, 3);
  // A broken one: xGMI joins all, but a ring must be closed over PCIe, while a tree need not.
  const RouteSearch chain = sound_search(linked(4, {{0, 1}, {1, 2}, {2, 3}}, LinkKind::xgmi, 50));
  EXPECT_GE(chain.ring_gbps(), 16);
  expect_trees(chain, 50, 3, 0.7);  // the bound counts PCIe as well
  const RouteSearch all = sound_search(linked(8, all_pairs(8), LinkKind::xgmi, 50));
  EXPECT_GE(all.ring_gbps(), 0.99 * 350);
  expect_trees(all, 350, 7);
  // Two fours that only PCIe joins.
  const RouteSearch fours = sound_search(linked(
      8, {{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}, {4, 5}, {4, 6}, {4, 7}, {5, 6}, {5, 7}, {6, 7}}, LinkKind::xgmi, 50));
  EXPECT_GT(fours.ring_gbps(), 16 * 0.999);
  EXPECT_EQ(fours.levels.size(), 1u);
  EXPECT_EQ(fours.levels[0].level, Level::nvlink);
}

TEST(Search, AnOversubscribedSpineLimitsWhatPassesIt) {
  const RouteSearch s = sound_search(pod({.hosts = 4, .hosts_per_leaf = 2, .uplink = 200}));
  EXPECT_NEAR(s.ring_bound_gbps, 200, 1e-6);
  EXPECT_GE(s.ring_gbps(), 199);
  EXPECT_GE(s.tree_gbps(), 99);
  ASSERT_EQ(s.levels.size(), 2u);
  EXPECT_EQ(s.levels[0].level, Level::nvlink);
  EXPECT_EQ(s.levels[1].level, Level::leaf);
}

TEST(Search, SharedNicsAreSaid) {
  const RouteSearch s = sound_search(pod({.hosts = 2, .gpus = 8, .nics = 4}));
  for (const Rail& rail : s.rails) {
    EXPECT_EQ(rail.sharers, 2);
    EXPECT_EQ(rail.nearness, Nearness::pci_switch);
    EXPECT_DOUBLE_EQ(rail.gbps, 50);
  }
  EXPECT_EQ(s.rails[0].nic, s.rails[1].nic);
  EXPECT_NE(s.rails[1].nic, s.rails[2].nic);
}

TEST(Search, HostsOfDifferentKindsJoin) {
  Topology t = pod({.hosts = 3});
  // The last host's links are half as wide.
  const NodeId last = machine_of(t, 2);
  for (Link& link : t.links)
    if (link.a >= last && t.nodes[static_cast<std::size_t>(link.b)].kind == NodeKind::net_switch) link.bandwidth_gbps = 25;
  const RouteSearch s = sound_search(t);
  EXPECT_NEAR(s.ring_bound_gbps, 200, 1e-6);
  EXPECT_GE(s.ring_gbps(), 199);
}

TEST(Search, CoresAreJoinedWhereThereAreNoGpus) {
  const auto s = search_routes(*load_topology("node:3 package:2 core:4 net=12.5GB/s"));
  ASSERT_TRUE(s) << s.error().to_string();
  EXPECT_EQ(s->ends.size(), 24u);
  EXPECT_NEAR(s->ring_gbps(), 12, 0.01);  // what a core copies
}

TEST(Search, SomeEndsOnly) {
  const Topology t = pod({.hosts = 2});
  std::vector<NodeId> ends = usual_ends(t);
  std::erase_if(ends, [&](NodeId id) { return id % 2 == 0; });
  const auto s = search_routes(t, ends);
  ASSERT_TRUE(s);
  expect_sound_rings(t, *s);
  EXPECT_GT(s->ring_gbps(), 0);
}

TEST(Search, OneRankHasNothingToJoin) {
  const RouteSearch s = sound_search(pod({.hosts = 1, .gpus = 1, .nics = 1}));
  EXPECT_TRUE(s.rings.empty());
  EXPECT_TRUE(s.trees.empty());
  EXPECT_EQ(s.rails[0].sharers, 1);
}

TEST(Search, WhatMakesNoSenseIsRefused) {
  const Topology t = pod({.hosts = 2});
  const auto message = [&](std::vector<NodeId> ends) { return search_routes(t, std::move(ends)).error().to_string(); };
  EXPECT_THAT(message({0}), HasSubstr("node 0 is a machine"));
  EXPECT_THAT(message({-1}), HasSubstr("no node -1"));
  EXPECT_THAT(message({1 << 20}), HasSubstr("no node 1048576"));
  const NodeId gpu = usual_ends(t).front();
  EXPECT_THAT(message({gpu, gpu}), HasSubstr("stands twice"));
  EXPECT_THAT(message({}), HasSubstr("nothing to join"));
  Topology apart = t;
  std::erase_if(apart.links, [](const Link& link) { return link.kind == LinkKind::network; });
  EXPECT_THAT(search_routes(apart).error().to_string(), HasSubstr("cannot be reached"));
}

TEST(Search, AlikeHostsAreSearchedOnce) {
  const auto steps = [](int hosts) { return sound_search(pod({.hosts = hosts})).steps; };
  const std::uint64_t few = steps(4), many = steps(128);
  // The bound looks at the whole graph, once for each different end; the search itself at one host.
  EXPECT_LT(many, 64 * few);
  EXPECT_LT(many, 5'000'000u);
}

TEST(Search, IsTheSameEveryTime) {
  const Topology t = pod({.hosts = 3});
  const auto a = search_routes(t), b = search_routes(t);
  EXPECT_EQ(to_json(*a, t), to_json(*b, t));
}

TEST(Search, WeightsAreInProportion) {
  RouteSearch s;
  for (const double gbps : {50.0, 25.0, 100.0}) s.rings.push_back({{0, 1}, gbps, kNoNode, {}});
  const Routes r = routes(s);
  EXPECT_EQ(r.rings[0].weight, 2u);
  EXPECT_EQ(r.rings[1].weight, 1u);
  EXPECT_EQ(r.rings[2].weight, 4u);
}

TEST(Search, RenderNamesWhatItFound) {
  const Topology t = pod({.hosts = 2});
  const std::string text = render(sound_search(t), t);
  EXPECT_THAT(text, HasSubstr("16 ranks, one per GPU"));
  EXPECT_THAT(text, HasSubstr("8 rings: 400 GB/s of at most 400 (100 %)"));
  EXPECT_THAT(text, HasSubstr("on their PCIe switch"));
  EXPECT_THAT(text, HasSubstr("nvlink   2 groups of 8 ranks"));
}

}  // namespace
}  // namespace tutti
