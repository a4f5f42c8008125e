#include "topology/search/flow.h"

#include <gtest/gtest.h>

#include "machines.h"
#include "tutti/route_search.h"

namespace tutti::search {
namespace {

TEST(Flow, MaximumAndCut) {
  FlowNetwork n(4);
  n.add(0, 1, 3);
  n.add(0, 2, 2);
  n.add(1, 2, 5);
  const int narrow = n.add(1, 3, 1);
  n.add(2, 3, 3);
  EXPECT_DOUBLE_EQ(n.max_flow(0, 3, 100), 4);
  EXPECT_TRUE(n.on_source_side(1));
  EXPECT_FALSE(n.on_source_side(3));
  EXPECT_DOUBLE_EQ(n.max_flow(0, 3, 2.5), 2.5);  // enough
  n.set(narrow, 0);
  EXPECT_DOUBLE_EQ(n.max_flow(0, 3, 100), 3);
  EXPECT_DOUBLE_EQ(n.max_flow(3, 0, 100), 0);
}

Bound circles(const Topology& t, bool with_network = false) {
  const Graph graph = make_graph(t, usual_ends(t));
  return circles_bound(graph, domains(graph).front(), with_network);
}

TEST(Bounds, CirclesDoNotPassThroughEnds) {
  using test::linked;
  // In a star of direct links the middle would have to be passed by all, so there is no ring, but a broadcast.
  Topology star = linked(4, {{0, 1}, {0, 2}, {0, 3}}, LinkKind::nvlink, 25);
  std::erase_if(star.links, [](const Link& link) { return link.kind == LinkKind::pcie; });
  Graph graph = make_graph(star, usual_ends(star));
  const auto all = domains(graph);
  prune(graph, all);
  EXPECT_NEAR(circles_bound(graph, all.front(), false).gbps, 0, 1e-6);
  EXPECT_DOUBLE_EQ(broadcast_bound(graph, all, graph.ends.front()).gbps, 25);
}

TEST(Bounds, TheNetworkIsOneEndMore) {
  EXPECT_NEAR(circles(test::pod({.hosts = 1, .gpus = 8, .nics = 1}), true).gbps, 50, 1e-6);
  EXPECT_GT(circles(test::pod({.hosts = 1, .gpus = 8, .nics = 1}), false).gbps, 449);
}

TEST(Bounds, ABroadcastIsAsFastAsTheEndThatIsHardestToReach) {
  Topology t = test::linked(3, {{0, 1}, {1, 2}}, LinkKind::xgmi, 50);
  t.links.back().bandwidth_gbps = 30;
  Graph graph = make_graph(t, usual_ends(t));
  const auto all = domains(graph);
  prune(graph, all);
  EXPECT_DOUBLE_EQ(broadcast_bound(graph, all, graph.ends.front()).gbps, 30);
}

}  // namespace
}  // namespace tutti::search
