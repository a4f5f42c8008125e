// Jobs of one rank per GPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "machines.h"
#include "select/select.h"

namespace tutti {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kPod = "node:4 package:2 core:8 gpu:8 nic:8 nvlink=450GB/s pcie=50GB/s net=50GB/s net_latency=3us";

JobMachine on_gpus(std::string_view spec, Rank ranks) {
  auto machine = describe_job(*load_topology(spec), ranks, Seats::gpus);
  EXPECT_TRUE(machine) << machine.error().to_string();
  return machine ? std::move(*machine) : JobMachine{};
}

TEST(OnGpus, LevelsAndPricesFollowTheLinks) {
  const JobMachine m = on_gpus(kPod, 32);
  EXPECT_THAT(m.level_names, ElementsAre(Level::nvlink));
  ASSERT_EQ(m.links.size(), 2u);
  EXPECT_DOUBLE_EQ(m.links[0].bandwidth_gbps, 450);
  EXPECT_DOUBLE_EQ(m.links[1].bandwidth_gbps, 50);
  EXPECT_LT(m.links[0].latency_us, m.links[1].latency_us);
  EXPECT_DOUBLE_EQ(m.links[1].latency_us, 6);  // out and in, as the description has it
  EXPECT_EQ(m.ranks_per_host, 8);
  EXPECT_EQ(m.rails_per_host, 8);
  EXPECT_FALSE(m.oversubscribed());
  EXPECT_EQ(m.routes.rings.size(), 8u);
  EXPECT_NEAR(m.ring_gbps, 400, 1e-6);
}

// Every GPU reaches another host as fast as its own NIC does, though others of that host are farther from it.
TEST(OnGpus, RailsLeadToAnotherHostAtTheirFullWidth) {
  EXPECT_DOUBLE_EQ(on_gpus("dgx-h100:2", 16).links.back().bandwidth_gbps, 50);
  EXPECT_DOUBLE_EQ(on_gpus("dgx-a100:2", 16).links.back().bandwidth_gbps, 25);
}

TEST(OnGpus, OneRingIsNoReasonForRoutes) {
  const JobMachine m = on_gpus("core:4 gpu:8 nvlink=450GB/s", 8);
  EXPECT_TRUE(m.routes.rings.empty());
  EXPECT_TRUE(m.levels.empty());
  EXPECT_DOUBLE_EQ(m.links[0].bandwidth_gbps, 450);
  EXPECT_DOUBLE_EQ(on_gpus("core:4 gpu:8 pcie=16GB/s", 8).links[0].bandwidth_gbps, 16);
}

TEST(OnGpus, ThereMustBeSoMany) {
  const Topology t = *load_topology(kPod);
  EXPECT_THAT(describe_job(t, 33, Seats::gpus).error().to_string(), HasSubstr("33 ranks, one per GPU, on 32 GPUs"));
  EXPECT_TRUE(describe_job(t, 31, Seats::gpus));
  EXPECT_TRUE(describe_job(t, 1, Seats::gpus));
}

TEST(OnGpus, RingsSideBySideAreChosenForLargeVectorsOnRails) {
  const JobMachine m = on_gpus(kPod, 32);
  const Selection s = choose({.collective = Collective::all_reduce, .block_bytes = 1 << 30}, m);
  const Candidate* several = find(s, "multi_ring");
  const Candidate* one = find(s, "ring");
  ASSERT_NE(several, nullptr);
  EXPECT_TRUE(several->refused.empty());
  // Eight rails carry eight times as much as the one that a single ring leaves a host through.
  EXPECT_NEAR(one->bandwidth_us / several->bandwidth_us, 8, 0.1);
  // 2 (p-1)/p of the vector at 400 GB/s.
  EXPECT_NEAR(several->bandwidth_us, 2.0 * 31 / 32 * (1 << 30) / 400e3, 1);
  EXPECT_TRUE(find(s, "packed_trees")->refused.empty());
}

TEST(OnGpus, RoutesAreRefusedWithAReasonWhereThereAreNone) {
  const Selection s =
      choose({.collective = Collective::all_reduce, .block_bytes = 1 << 20}, on_gpus("core:4 gpu:8 pcie=16GB/s", 8));
  EXPECT_THAT(find(s, "multi_ring")->refused, HasSubstr("needs rings over links of their own"));
  EXPECT_THAT(find(s, "packed_trees")->refused, HasSubstr("needs trees over links of their own"));
}

TEST(OnGpus, CoresStayCores) {
  const Topology t = *load_topology(kPod);
  const auto cores = describe_job(t, 32);
  ASSERT_TRUE(cores);
  EXPECT_FALSE(cores->on_gpus);
  EXPECT_TRUE(cores->routes.rings.empty());
}

}  // namespace
}  // namespace tutti
