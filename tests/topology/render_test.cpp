#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixtures.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Render, TreeShowsSizesLinksLimitsAndBinding) {
  Topology t = *load_topology(test::fixture_path("small.xml"));
  t.nodes[0].cpu_quota = 1.5;
  t.nodes[0].memory_limit_bytes = 2ull << 30;
  const std::string text = render_tree(t, std::vector<int>{2, 3});
  EXPECT_THAT(text, AllOf(HasSubstr("CPU time of 1.5 cores"), HasSubstr("memory limit 2 GiB"), HasSubstr("bound to PUs 2-3"),
                          HasSubstr("Imagined GPU, 16 GiB, 0000:01:00.0, PCIe 31.5 GB/s"), HasSubstr("l3 0: 16 MiB"),
                          HasSubstr("cores 0-1: PUs 0-3, L2 1 MiB each (bound here: 2-3)"),
                          HasSubstr("nvlink   50 GB/s (file): gpu 0 - gpu 1"), HasSubstr("0.22 us (estimate): numa 0 - numa 1"),
                          HasSubstr("on different hosts")));
}

TEST(Render, AlikeHostsAreShownOnce) {
  const std::string text = render_tree(*load_topology("node:1000 core:4"));
  EXPECT_THAT(text, HasSubstr("machines 0-999, 1000 alike, each: 4 cores"));
  EXPECT_THAT(text, HasSubstr("and 994 more"));
  EXPECT_LT(text.size(), 2000u);
  EXPECT_THAT(render_tree(*load_topology("core:4")), Not(HasSubstr("this process")));
}

TEST(Render, LinksOfSeveralHostsAndTheirNetwork) {
  EXPECT_THAT(
      render_tree(*load_topology("torus:3x2 core:1 gpu:2 nvlink=5GB/s")),
      AllOf(HasSubstr("a torus of 3 x 2 hosts"), HasSubstr("machine 0 gpu 0 - nvswitch 0"), HasSubstr("machine 0 - machine 2")));
  EXPECT_THAT(render_tree(*load_topology("node:2 core:1 nic:2 rails:2 net=1GB/s")),
              AllOf(HasSubstr("machine 1 nic 1 - rail 1"), HasSubstr("2 GB/s (synthetic): rail 0 - spine")));
}

TEST(Render, ForbiddenCoresAreNamed) {
  Topology t = *load_topology("core:2");
  t.nodes[2].cpus.clear();
  EXPECT_THAT(render_tree(t), AllOf(HasSubstr("1 core may not be used"), HasSubstr("not for this job")));
}

TEST(Dot, HasEveryNodeAndLinkAndQuotes) {
  const Topology t = *load_topology(test::fixture_path("small.xml"));
  const std::string text = to_dot(t);
  for (std::size_t id = 0; id < t.nodes.size(); ++id) EXPECT_THAT(text, HasSubstr("  n" + std::to_string(id) + " [label="));
  std::size_t dashed = 0;
  for (std::size_t at = text.find("dashed"); at != std::string::npos; at = text.find("dashed", at + 1)) ++dashed;
  EXPECT_EQ(dashed, t.links.size());
  EXPECT_THAT(text, HasSubstr("machine 0 small \\\"one\\\""));
}

}  // namespace
}  // namespace tutti
