#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tutti/topology.h"

namespace tutti {
namespace {

using ::testing::HasSubstr;

Topology good() { return *load_topology("node:2 package:1 numa:2 l3:1 core:2 pu:2 gpu:2 nic:1 nvlink=100GB/s"); }

NodeId first(const Topology& t, NodeKind kind) {
  for (std::size_t i = 0; i < t.nodes.size(); ++i) {
    if (t.nodes[i].kind == kind) return static_cast<NodeId>(i);
  }
  return kNoNode;
}

Node& node(Topology& t, NodeKind kind) { return t.nodes[static_cast<std::size_t>(first(t, kind))]; }

void push(Topology& t, NodeKind kind, NodeId parent) {
  Node fresh;
  fresh.kind = kind;
  fresh.parent = parent;
  t.nodes.push_back(std::move(fresh));
}

TEST(Check, AcceptsAGoodGraph) {
  const Status status = check(good());
  EXPECT_TRUE(status) << status.error().to_string();
}

struct Damage {
  const char* what;
  std::function<void(Topology&)> apply;
  const char* reason;
};

class CheckRejects : public ::testing::TestWithParam<Damage> {};

TEST_P(CheckRejects, AndSaysWhy) {
  Topology topology = good();
  GetParam().apply(topology);
  const Status status = check(topology);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::invalid_argument);
  EXPECT_THAT(status.error().to_string(), HasSubstr(GetParam().reason));
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

const std::vector<Damage> kDamages = {
    Damage{"empty", [](Topology& t) { t = {}; }, "without a machine"},
    Damage{"orphan", [](Topology& t) { node(t, NodeKind::core).parent = kNoNode; }, "has no parent"},
    Damage{"forward", [](Topology& t) { node(t, NodeKind::package).parent = 5; }, "does not come before it"},
    Damage{"self", [](Topology& t) { node(t, NodeKind::package).parent = first(t, NodeKind::package); }, "does not come before"},
    Damage{"negative_parent", [](Topology& t) { node(t, NodeKind::package).parent = -7; }, "does not come before"},
    Damage{"nested_machine", [](Topology& t) { push(t, NodeKind::machine, 0); }, "stands alone"},
    Damage{"in_core", [](Topology& t) { push(t, NodeKind::l3, first(t, NodeKind::core)); }, "cannot hold it"},
    Damage{"numa_in_numa", [](Topology& t) { push(t, NodeKind::numa, first(t, NodeKind::numa)); }, "another of its kind"},
    Damage{"kind", [](Topology& t) { t.nodes.back().kind = static_cast<NodeKind>(99); }, "unknown kind"},
    Damage{"pu_negative", [](Topology& t) { node(t, NodeKind::core).cpus = {-1}; }, "PU number -1"},
    Damage{"pu_order",
           [](Topology& t) {
             node(t, NodeKind::core).cpus = {1, 0};
           },
           "not ascending"},
    Damage{"pu_twice",
           [](Topology& t) {
             node(t, NodeKind::core).cpus = {0, 3};
           },
           "belongs to node"},
    Damage{"pu_on_numa", [](Topology& t) { node(t, NodeKind::numa).cpus = {0}; }, "only cores do"},
    Damage{"quota", [](Topology& t) { node(t, NodeKind::machine).cpu_quota = kNan; }, "CPU quota"},
    Damage{"escape", [](Topology& t) { node(t, NodeKind::gpu).name = "\x1b[2J"; }, "control characters"},
    Damage{"long_name", [](Topology& t) { node(t, NodeKind::gpu).name.assign(1000, 'x'); }, "too long"},
    Damage{"link_id", [](Topology& t) { t.links.front().b = 1000; }, "no node 1000"},
    Damage{"link_self", [](Topology& t) { t.links.front().b = t.links.front().a; }, "to itself"},
    Damage{"link_nan", [](Topology& t) { t.links.front().bandwidth_gbps = kNan; }, "bandwidth"},
    Damage{"link_negative", [](Topology& t) { t.links.front().bandwidth_gbps = -1; }, "bandwidth -1"},
    Damage{"link_infinite", [](Topology& t) { t.links.front().latency_us = kInfinity; }, "latency inf"},
    Damage{"link_kind", [](Topology& t) { t.links.front().kind = static_cast<LinkKind>(77); }, "unknown kind"},
    Damage{"deep",
           [](Topology& t) {
             NodeId parent = 0;
             for (int i = 0; i < 200; ++i) {
               push(t, NodeKind::pci_switch, parent);
               parent = static_cast<NodeId>(t.nodes.size() - 1);
             }
           },
           "deep"}};

std::string damage_name(const ::testing::TestParamInfo<Damage>& damage) { return damage.param.what; }

INSTANTIATE_TEST_SUITE_P(Damages, CheckRejects, ::testing::ValuesIn(kDamages), damage_name);

TEST(Fingerprint, IgnoresNamesOfMachinesAndAFewPagesButNothingElse) {
  const Topology base = good();
  Topology renamed = base;
  node(renamed, NodeKind::machine).name = "another host";
  node(renamed, NodeKind::machine).memory_limit_bytes = 4096;
  EXPECT_EQ(fingerprint(base), fingerprint(renamed));

  Topology limited = base;
  node(limited, NodeKind::machine).cpu_quota = 1.5;
  EXPECT_NE(fingerprint(base), fingerprint(limited));
  Topology faster = base;
  faster.links.front().bandwidth_gbps += 1;
  EXPECT_NE(fingerprint(base), fingerprint(faster));
  Topology fewer = base;
  node(fewer, NodeKind::core).cpus.pop_back();
  EXPECT_NE(fingerprint(base), fingerprint(fewer));
}

}  // namespace
}  // namespace tutti
