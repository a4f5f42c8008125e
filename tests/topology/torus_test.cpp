#include <gtest/gtest.h>

#include "tutti/topology.h"

namespace tutti {
namespace {

std::vector<int> dimensions(std::string_view text) { return torus_dimensions(*load_topology(text)); }

TEST(Torus, EveryShapeOfUpToFourDimensionsIsFoundInItsLinks) {
  for (const std::vector<int>& shape : std::vector<std::vector<int>>{{2},
                                                                     {3},
                                                                     {4},
                                                                     {7},
                                                                     {2, 2},
                                                                     {2, 3},
                                                                     {3, 2},
                                                                     {3, 3},
                                                                     {4, 4},
                                                                     {5, 2},
                                                                     {2, 5},
                                                                     {6, 4},
                                                                     {4, 6},
                                                                     {2, 2, 2},
                                                                     {4, 4, 4},
                                                                     {3, 2, 4},
                                                                     {2, 4, 3},
                                                                     {5, 3, 3},
                                                                     {2, 2, 2, 2},
                                                                     {4, 2, 4, 2},
                                                                     {3, 3, 3, 3},
                                                                     {2, 3, 4, 5},
                                                                     {2, 2, 2, 2, 2, 2, 2, 2}}) {
    std::string text = "torus:";
    for (const int length : shape) text += std::to_string(length) + "x";
    text.pop_back();
    EXPECT_EQ(dimensions(text), shape) << text;
  }
}

TEST(Torus, DimensionsOfOneHostDoNotCount) {
  EXPECT_EQ(dimensions("torus:4x1x3"), (std::vector<int>{4, 3}));
  EXPECT_TRUE(dimensions("torus:1x1").empty());
}

TEST(Torus, SurvivesTheExchange) {
  const Topology t = *load_topology("torus:4x4 core:2 nic:4");
  EXPECT_EQ(torus_dimensions(*topology_from_json(to_json(t))), (std::vector<int>{4, 4}));
}

TEST(Torus, OtherNetworksAreNone) {
  EXPECT_TRUE(dimensions("node:4 core:2").empty());
  EXPECT_TRUE(dimensions("core:2").empty());
  EXPECT_TRUE(dimensions("fat-tree:2x2").empty());
}

TEST(Torus, OneLinkMoreOrLessAndItIsNone) {
  const Topology whole = *load_topology("torus:4x4");
  for (std::size_t i = 0; i < whole.links.size(); ++i) {
    Topology damaged = whole;
    damaged.links.erase(damaged.links.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_TRUE(torus_dimensions(damaged).empty()) << i;
  }
  Topology more = whole;
  more.links.push_back({machine_of(whole, 0), machine_of(whole, 5), LinkKind::network, Origin::synthetic, 1, 0});
  EXPECT_TRUE(torus_dimensions(more).empty());
  Topology doubled = whole;
  doubled.links.push_back(doubled.links.front());
  EXPECT_EQ(torus_dimensions(doubled), (std::vector<int>{4, 4})) << "two links between neighbours are fine";
}

TEST(Torus, AllJoinedToAllIsDecidedAtOnce) {
  Topology t = *load_topology("node:512 core:1");
  t.links.clear();
  for (int a = 0; a < 512; ++a) {
    for (int b = a + 1; b < 512; ++b)
      t.links.push_back({machine_of(t, 0) + 2 * a, machine_of(t, 0) + 2 * b, LinkKind::network, Origin::file, 1, 1});
  }
  ASSERT_TRUE(check(t));
  EXPECT_TRUE(torus_dimensions(t).empty());
}

}  // namespace
}  // namespace tutti
