#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <thread>

#include "tutti/topology.h"

namespace tutti {
namespace {

TEST(Live, ThisMachineIsAGoodGraph) {
  const auto topology = discover();
  ASSERT_TRUE(topology) << topology.error().to_string();
  const Status status = check(*topology);
  EXPECT_TRUE(status) << status.error().to_string();
  EXPECT_EQ(hosts(*topology), 1);
  EXPECT_GE(usable_cores(*topology).size(), 1u);
  EXPECT_GE(available_cores(*topology), 1);
  const auto back = topology_from_json(to_json(*topology));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*back, *topology);
  EXPECT_FALSE(render_tree(*topology).empty());
}

TEST(Live, TheBindingLiesInTheMachine) {
  const auto topology = discover();
  const auto bound = current_binding();
  ASSERT_TRUE(topology);
  ASSERT_TRUE(bound) << bound.error().to_string();
  ASSERT_FALSE(bound->empty());
  EXPECT_TRUE(std::is_sorted(bound->begin(), bound->end()));
  std::vector<int> allowed;
  for (const Node& node : topology->nodes) allowed.insert(allowed.end(), node.cpus.begin(), node.cpus.end());
  std::sort(allowed.begin(), allowed.end());
  EXPECT_TRUE(std::includes(allowed.begin(), allowed.end(), bound->begin(), bound->end()));
}

TEST(Live, ABoundThreadKnowsItsCore) {
  const auto topology = discover();
  const auto before = current_binding();
  ASSERT_TRUE(topology);
  ASSERT_TRUE(before);
  RankLocation location;
  std::thread([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(before->back()), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    const auto bound = current_binding();
    ASSERT_TRUE(bound);
    EXPECT_EQ(*bound, std::vector<int>{before->back()});
    location = locate(*topology, *bound, 4);
  }).join();
  EXPECT_EQ(location.host, 4);
  EXPECT_GE(location.core, 0);
  EXPECT_EQ(location.cpus, std::vector<int>{before->back()});
  EXPECT_EQ(*current_binding(), *before);
}

}  // namespace
}  // namespace tutti
