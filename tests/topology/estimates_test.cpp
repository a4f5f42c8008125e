#include <gtest/gtest.h>

#include "tutti/topology.h"

namespace tutti {
namespace {

LinkParameters cost(std::string_view spec, Level level) { return between(*load_topology(spec), level); }

TEST(Estimates, FartherCostsMore) {
  const Topology t = *load_topology("node:2 package:2 numa:2 l3:2 core:2 pu:2");
  constexpr Level kOfCores[] = {Level::core, Level::l3, Level::numa, Level::package, Level::host, Level::network};
  for (std::size_t i = 0; i + 1 < std::size(kOfCores); ++i) {
    const LinkParameters near = between(t, kOfCores[i]), far = between(t, kOfCores[i + 1]);
    EXPECT_LT(near.latency_us, far.latency_us) << name(kOfCores[i]);
    EXPECT_GE(near.bandwidth_gbps, far.bandwidth_gbps) << name(kOfCores[i]);
  }
}

TEST(Estimates, ALevelWithOneThingInItCostsAsThatThing) {
  EXPECT_DOUBLE_EQ(cost("package:1 numa:1 l3:1 core:8", Level::host).latency_us, cost("l3:1 core:8", Level::l3).latency_us);
  EXPECT_GT(cost("package:1 numa:1 l3:2 core:8", Level::host).latency_us, cost("l3:1 core:8", Level::l3).latency_us);
  EXPECT_GT(cost("package:2 l3:1 core:8", Level::host).latency_us, cost("package:1 l3:2 core:8", Level::host).latency_us);
}

TEST(Estimates, TakingTurnsOnOnePuIsSlow) {
  EXPECT_GT(cost("core:2 pu:1", Level::core).latency_us, 10 * cost("core:2 pu:2", Level::core).latency_us);
}

TEST(Estimates, TheNetworkIsTheNicsOrADefault) {
  EXPECT_DOUBLE_EQ(cost("node:2 core:2", Level::network).bandwidth_gbps, 3.125);
  EXPECT_EQ(cost("node:2 core:2", Level::network).origin, Origin::estimate);
  EXPECT_DOUBLE_EQ(cost("node:2 core:2 net=12.5GB/s", Level::network).bandwidth_gbps, 12.5);
  Topology uneven = *load_topology("node:2 core:2 net=12.5GB/s");
  uneven.links.back().bandwidth_gbps = 1;
  EXPECT_DOUBLE_EQ(between(uneven, Level::network).bandwidth_gbps, 1);
}

TEST(AvailableCores, QuotaLimits) {
  Topology t = *load_topology("core:8 pu:2");
  EXPECT_EQ(available_cores(t), 8);
  t.nodes[0].cpu_quota = 2.5;
  EXPECT_EQ(available_cores(t), 3);
  t.nodes[0].cpu_quota = 0.1;
  EXPECT_EQ(available_cores(t), 1);
  EXPECT_EQ(available_cores(t, 17), 1);
}

}  // namespace
}  // namespace tutti
