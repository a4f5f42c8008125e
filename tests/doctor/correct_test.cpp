// What is put right in a machine's description.
#include "doctor/correct.h"

#include "trees.h"

namespace tutti::doctor {
namespace {

using testing::Contains;
using testing::HasSubstr;

const Link* link_of(const Topology& topology, const std::string& nic) {
  for (const Link& link : topology.links)
    if (link.kind == LinkKind::network && topology.nodes[static_cast<std::size_t>(link.a)].name == nic) return &link;
  return nullptr;
}

// Two hosts' worth of NICs on one: "eth0" and "eth1", of unknown speed.
void two_nics(test::Tree& tree) {
  tree.described("numa:2 core:2 nic:2");
  int next = 0;
  for (Node& node : tree.system.topology.nodes)
    if (node.kind == NodeKind::nic) node.name = "eth" + std::to_string(next++);
  for (Link& link : tree.system.topology.links)
    if (link.kind == LinkKind::network) link.bandwidth_gbps = 0;
  tree.folder("sys/class/net/eth0").folder("sys/class/net/eth1").interface("eth0", "10.0.0.1").interface("eth1", "10.1.0.1");
}

TEST(DoctorCorrect, NothingToDo) {
  test::Tree tree;
  tree.described("numa:2 core:2");
  const auto corrected = correct(tree.system, std::nullopt);
  ASSERT_TRUE(corrected);
  EXPECT_EQ(corrected->topology, tree.system.topology);
  EXPECT_TRUE(corrected->changes.empty());
}

TEST(DoctorCorrect, CoresThatTheControlGroupAllows) {
  test::Tree tree;
  tree.described("numa:2 core:4").write("proc/self/cgroup", "0::/\n").write("sys/fs/cgroup/cpuset.cpus.effective", "1,6-7\n");
  tree.write("sys/fs/cgroup/cpu.max", "150000 100000\n").write("sys/fs/cgroup/memory.max", "1073741824\n");
  const auto corrected = correct(tree.system, std::nullopt);
  ASSERT_TRUE(corrected);
  EXPECT_EQ(usable_cores(corrected->topology).size(), 3u);
  EXPECT_EQ(available_cores(corrected->topology), 2);
  EXPECT_EQ(corrected->topology.nodes.front().memory_limit_bytes, 1073741824u);
  EXPECT_THAT(corrected->changes, Contains(HasSubstr("5 PUs left out")));
  EXPECT_THAT(corrected->changes, Contains(HasSubstr("1.5 cores")));
  const auto again = topology_from_json(to_json(corrected->topology));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, corrected->topology);
}

TEST(DoctorCorrect, NoCoreIsLeft) {
  test::Tree tree;
  tree.described("core:4").write("proc/self/cgroup", "0::/\n").write("sys/fs/cgroup/cpuset.cpus.effective", "40\n");
  EXPECT_FALSE(correct(tree.system, std::nullopt));
  EXPECT_FALSE(correct(test::Tree().system, std::nullopt));
}

TEST(DoctorCorrect, UnknownSpeedsAreGuessedAndSaySo) {
  test::Tree tree;
  two_nics(tree);
  const auto corrected = correct(tree.system, std::nullopt);
  ASSERT_TRUE(corrected);
  for (const char* nic : {"eth0", "eth1"}) {
    ASSERT_NE(link_of(corrected->topology, nic), nullptr);
    EXPECT_GT(link_of(corrected->topology, nic)->bandwidth_gbps, 0);
    EXPECT_EQ(link_of(corrected->topology, nic)->origin, Origin::estimate);
    EXPECT_THAT(corrected->changes, Contains(HasSubstr(std::string(nic) + ": its driver does not say")));
  }
}

TEST(DoctorCorrect, WhatWasMeasuredIsOfTheInterfaceThatIsUsed) {
  test::Tree tree;
  two_nics(tree);
  tree.system.interface_spec = "eth1";
  const auto corrected = correct(tree.system, LinkParameters{8.5, 2.25, Origin::system});
  ASSERT_TRUE(corrected);
  EXPECT_EQ(link_of(corrected->topology, "eth1")->bandwidth_gbps, 2.25);
  EXPECT_EQ(link_of(corrected->topology, "eth1")->latency_us, 8.5);
  EXPECT_EQ(link_of(corrected->topology, "eth1")->origin, Origin::system);
  EXPECT_EQ(link_of(corrected->topology, "eth0")->origin, Origin::estimate);
}

TEST(DoctorCorrect, WhatJoinsNoOtherHost) {
  test::Tree tree;
  two_nics(tree);
  tree.write("sys/class/net/eth0/operstate", "down\n").write("sys/class/net/eth1/operstate", "up\n");
  const std::size_t nodes = tree.system.topology.nodes.size();
  auto corrected = correct(tree.system, std::nullopt);
  ASSERT_TRUE(corrected);
  EXPECT_EQ(link_of(corrected->topology, "eth0"), nullptr);
  EXPECT_NE(link_of(corrected->topology, "eth1"), nullptr);
  EXPECT_EQ(corrected->topology.nodes.size(), nodes);
  tree.system.addresses.clear();  // the host end of a container's network has no address
  corrected = correct(tree.system, std::nullopt);
  ASSERT_TRUE(corrected);
  EXPECT_EQ(link_of(corrected->topology, "eth1"), nullptr);
}

}  // namespace
}  // namespace tutti::doctor
