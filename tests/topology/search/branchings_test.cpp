#include "topology/search/branchings.h"

#include <gtest/gtest.h>

#include <map>

namespace tutti::search {
namespace {

// Each is a tree away from the root, and together they use no arc more often than it is there.
void expect_disjoint(int vertices, int root, const std::vector<UnitArc>& arcs, const std::vector<std::vector<int>>& trees) {
  std::map<std::pair<int, int>, int> left;
  for (const UnitArc& arc : arcs) left[{arc.from, arc.to}] += arc.count;
  for (const auto& parent : trees) {
    ASSERT_EQ(parent.size(), static_cast<std::size_t>(vertices));
    for (int v = 0; v < vertices; ++v) {
      if (v == root) continue;
      EXPECT_GE(--left[std::make_pair(parent[static_cast<std::size_t>(v)], v)], 0);
      int at = v, steps = 0;
      while (at != root && steps++ < vertices) at = parent[static_cast<std::size_t>(at)];
      EXPECT_EQ(at, root);
    }
  }
}

std::vector<UnitArc> both_ways(const std::vector<UnitArc>& edges) {
  std::vector<UnitArc> arcs;
  for (const UnitArc& e : edges) {
    arcs.push_back(e);
    arcs.push_back({e.to, e.from, e.count});
  }
  return arcs;
}

TEST(Branchings, AsManyAsTheLeastCut) {
  std::uint64_t steps = 0;
  for (int n = 2; n <= 9; ++n) {
    std::vector<UnitArc> edges;
    for (int a = 0; a < n; ++a)
      for (int b = a + 1; b < n; ++b) edges.push_back({a, b, 1 + (a + b) % 2});
    const auto arcs = both_ways(edges);
    int least = 1000;  // of what enters a vertex: in a complete graph no other cut is smaller
    for (int v = 0; v < n; ++v) {
      int in = 0;
      for (const UnitArc& arc : arcs) in += arc.to == v ? arc.count : 0;
      least = std::min(least, in);
    }
    for (const int root : {0, n - 1}) {
      const auto trees = branchings(n, root, arcs, least - 1, steps);
      EXPECT_EQ(trees.size(), static_cast<std::size_t>(least - 1));
      expect_disjoint(n, root, arcs, trees);
    }
  }
  EXPECT_GT(steps, 0u);
}

TEST(Branchings, NoneWhereThereAreNotSoMany) {
  std::uint64_t steps = 0;
  EXPECT_TRUE(branchings(3, 0, {{0, 1, 2}, {1, 2, 1}}, 2, steps).empty());
  EXPECT_EQ(branchings(3, 0, {{0, 1, 2}, {1, 2, 1}}, 1, steps).size(), 1u);
  EXPECT_TRUE(branchings(2, 0, {{1, 0, 1}}, 1, steps).empty());
}

}  // namespace
}  // namespace tutti::search
