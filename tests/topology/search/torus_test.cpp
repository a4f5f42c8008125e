// Rings over the links of a torus of hosts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tutti/route_search.h"

namespace tutti {
namespace {

using testing::HasSubstr;

// Where two nodes are neighbours: they differ in one dimension, by one step round it.
bool are_neighbours(std::span<const Rank> dimensions, Rank a, Rank b) {
  int different = 0;
  for (std::size_t d = dimensions.size(); d-- > 0; a /= dimensions[d], b /= dimensions[d]) {
    const Rank size = dimensions[d], apart = std::abs(a % size - b % size);
    if (apart == 0) continue;
    if (apart != 1 && apart != size - 1) return false;
    ++different;
  }
  return different == 1;
}

void expect_rings(const std::vector<Rank>& dimensions, std::size_t count) {
  const auto rings = torus_rings(dimensions);
  EXPECT_EQ(rings.size(), count) << testing::PrintToString(dimensions);
  Rank nodes = 1;
  for (const Rank size : dimensions) nodes *= size;
  std::set<std::pair<Rank, Rank>> used;
  for (const auto& ring : rings) {
    EXPECT_EQ(ring.front(), 0);
    EXPECT_EQ(std::set<Rank>(ring.begin(), ring.end()).size(), static_cast<std::size_t>(nodes));
    ASSERT_EQ(ring.size(), static_cast<std::size_t>(nodes));
    for (std::size_t i = 0; i < ring.size(); ++i) {
      const Rank from = ring[i], to = ring[(i + 1) % ring.size()];
      EXPECT_TRUE(are_neighbours(dimensions, from, to)) << from << " to " << to;
      EXPECT_TRUE(used.emplace(from, to).second) << "twice from " << from << " to " << to;
    }
  }
}

TEST(TorusRings, TakeEveryLinkInBothDirections) {
  expect_rings({5}, 2);
  expect_rings({3, 3}, 4);
  expect_rings({3, 4}, 4);
  expect_rings({5, 7}, 4);
  expect_rings({16, 16}, 4);
  expect_rings({4, 4, 4}, 6);
  expect_rings({3, 5, 4}, 6);
  expect_rings({3, 3, 3, 3}, 8);
  expect_rings({4, 1, 4}, 4);
}

TEST(TorusRings, TwoNodesHaveOneLinkBetweenThem) {
  expect_rings({2}, 1);  // there and back
  expect_rings({2, 2}, 2);
  expect_rings({2, 2, 2}, 2);
  expect_rings({2, 2, 2, 2}, 4);
  expect_rings({2, 3}, 2);
  expect_rings({6, 2, 3}, 4);
}

TEST(TorusRings, AreNoneOfOneNodeOrOfTooMany) {
  EXPECT_TRUE(torus_rings(std::vector<Rank>{}).empty());
  EXPECT_TRUE(torus_rings(std::vector<Rank>{1}).empty());
  EXPECT_TRUE(torus_rings(std::vector<Rank>{1000, 1000, 1000, 1000}).empty());
}

TEST(TorusSearch, HostsAreTheRanks) {
  const Topology t = *load_topology("torus:4x4x4 core:8 link=10GB/s");
  const auto found = search_routes(t);
  ASSERT_TRUE(found) << found.error().to_string();
  ASSERT_EQ(found->rings.size(), 6U);
  EXPECT_DOUBLE_EQ(found->ring_gbps(), 60);
  EXPECT_DOUBLE_EQ(found->ring_bound_gbps, 60);
  EXPECT_DOUBLE_EQ(found->tree_gbps(), 60);
  EXPECT_EQ(found->trees.front().depth, 63);
  std::set<std::pair<NodeId, NodeId>> links;
  for (const Link& link : t.links) links.insert({{link.a, link.b}, {link.b, link.a}});
  for (const FoundRing& ring : found->rings)
    for (std::size_t i = 0; i < ring.order.size(); ++i) {
      const auto& hop = ring.hops[i];
      ASSERT_EQ(hop.size(), 2U);
      EXPECT_EQ(hop.front(), found->ends[static_cast<std::size_t>(ring.order[i])]);
      EXPECT_TRUE(links.contains({hop.front(), hop.back()}));
    }
  const std::string text = render(*found, t);
  EXPECT_THAT(text, HasSubstr("64 ranks, one per host"));
  EXPECT_THAT(to_json(*found, t), HasSubstr("\"ratio\":1"));
}

TEST(TorusSearch, LinksMayBeUnevenAndEndAtNics) {
  Topology t = *load_topology("torus:3x3 core:1 nic:4 link=10GB/s");
  t.links.front().bandwidth_gbps = 4;
  const auto found = search_routes(t);
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(found->rings.size(), 4U);
  EXPECT_DOUBLE_EQ(found->ring_bound_gbps, 34);
  EXPECT_DOUBLE_EQ(found->ring_gbps(), 28) << "one ring and its reverse pass the slow link";
  EXPECT_EQ(found->rings.front().hops.front().size(), 4U) << "host, NIC, NIC, host";
}

TEST(TorusSearch, HostsAreNoRanksElsewhere) {
  const Topology t = *load_topology("node:2 core:1 nic:1 net=1GB/s");
  const auto found = search_routes(t, {machine_of(t, 0), machine_of(t, 1)});
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().to_string(), HasSubstr("do not form a torus"));
}

}  // namespace
}  // namespace tutti
