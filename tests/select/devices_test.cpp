// Calls of devices: which may be done by a kernel, and what that costs.
#include "select/devices.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tutti {
namespace {

const std::vector<std::string> kGpus{"0000:01:00.0", "0000:02:00.0", "0000:03:00.0"};

// Three GPUs, of which those in `on_switch` are linked to one switch.
Topology machine(std::vector<NodeId> on_switch) {
  Topology t;
  const auto add = [&t](NodeKind kind, const std::string& bus_id) {
    Node node;
    node.kind = kind;
    node.parent = t.nodes.empty() ? kNoNode : 0;
    node.pci_bus_id = bus_id;
    t.nodes.push_back(node);
  };
  add(NodeKind::machine, "");
  for (const std::string& bus_id : kGpus) add(NodeKind::gpu, bus_id);
  add(NodeKind::nvswitch, "0000:04:00.0");
  for (const NodeId gpu : on_switch) t.links.push_back({.a = gpu, .b = 4, .kind = LinkKind::nvlink, .bandwidth_gbps = 300});
  return t;
}

JobMachine job(Rank ranks) {
  JobMachine m;
  m.ranks = ranks;
  m.links = {{.latency_us = 1, .bandwidth_gbps = 10}};
  return m;
}

double us(KernelProtocol protocol, std::uint64_t bytes, const Topology& topology) {
  const JobMachine m = on_kernels(job(3), kGpus, topology, protocol, channels_for(protocol, bytes));
  auto selection = select({.collective = Collective::all_reduce, .block_bytes = bytes, .element_bytes = 4}, m);
  return launch_us(protocol) + std::move(selection).value_or_throw().winner().total_us;
}

TEST(Devices, KernelsSpinOnlyWhereNoTwoRanksShareOne) {
  EXPECT_TRUE(may_spin(kGpus));
  EXPECT_FALSE(may_spin(std::vector<std::string>{kGpus[0], kGpus[1], kGpus[0]}));
}

TEST(Devices, LinesArriveAtOnceOnlyWhereAllPairsAreJoinedByNvlink) {
  const auto has_lines = [](const Topology& topology, const std::vector<std::string>& devices) {
    return std::ranges::count(protocols_between(devices, topology), KernelProtocol::ll128) == 1;
  };
  EXPECT_TRUE(has_lines(machine({1, 2, 3}), kGpus));
  EXPECT_FALSE(has_lines(machine({1, 2}), kGpus));
  EXPECT_TRUE(has_lines(machine({1, 2}), {kGpus[0], kGpus[1]}));
  EXPECT_FALSE(has_lines(machine({}), kGpus));
  EXPECT_FALSE(has_lines(Topology{}, kGpus)) << "nobody knows";
  Topology ring = machine({});
  for (NodeId a = 1; a <= 3; ++a) ring.links.push_back({.a = a, .b = a % 3 + 1, .kind = LinkKind::nvlink, .bandwidth_gbps = 100});
  EXPECT_TRUE(has_lines(ring, kGpus));
}

TEST(Devices, LargerCallsHaveMoreChannels) {
  for (const auto protocol : {KernelProtocol::simple, KernelProtocol::ll, KernelProtocol::ll128}) {
    EXPECT_EQ(channels_for(protocol, 0), 1U);
    EXPECT_EQ(channels_for(protocol, 1), 1U);
    unsigned before = 1;
    for (std::uint64_t bytes = 1; bytes < std::uint64_t{1} << 40; bytes *= 2) {
      const unsigned channels = channels_for(protocol, bytes);
      EXPECT_GE(channels, before);
      before = channels;
    }
    EXPECT_EQ(before, 16U);
  }
}

TEST(Devices, FlagsInDataAreForSmallCalls) {
  for (const Topology& topology : {machine({1, 2, 3}), machine({})}) {
    EXPECT_LT(us(KernelProtocol::ll, 1024, topology), us(KernelProtocol::simple, 1024, topology));
    EXPECT_GT(us(KernelProtocol::ll, 64 << 20, topology), us(KernelProtocol::simple, 64 << 20, topology));
  }
}

}  // namespace
}  // namespace tutti
