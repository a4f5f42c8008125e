// Calls of devices: which may be done by a kernel, and what that costs.
#include "select/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tutti {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
  return m;
}

DeviceLayout layout(const Topology& topology, const std::vector<std::string>& devices = kGpus) {
  return lay_out(devices, topology);
}

// Ranks on these GPUs, counted as the topology does.
DeviceLayout on_gpus(const Topology& topology, const std::vector<std::size_t>& numbers) {
  std::vector<std::string> names;
  std::vector<NodeId> nodes;
  for (const std::size_t gpu : numbers) {
    names.push_back("gpu " + std::to_string(gpu));
    nodes.push_back(gpus(topology)[gpu]);
  }
  return lay_out(names, nodes, topology);
}

Topology described(const std::string& text) { return *load_topology(text); }

double us(const JobMachine& m, std::uint64_t bytes) {
  auto selection = select({.collective = Collective::all_reduce, .block_bytes = bytes, .element_bytes = 4}, m);
  return std::move(selection).value_or_throw().winner().total_us;
}

double us(KernelProtocol protocol, std::uint64_t bytes, const Topology& topology) {
  const DeviceLayout devices = layout(topology);
  return launch_us(protocol) + us(on_kernels(job(3), devices, protocol, channels_for(protocol, bytes, devices)), bytes);
}

TEST(Devices, KernelsSpinOnlyWhereNoTwoRanksShareOne) {
  EXPECT_EQ(kernels_refused(layout(machine({}))), "");
  EXPECT_THAT(kernels_refused(layout(machine({}), {kGpus[0], kGpus[1], kGpus[0]})),
              HasSubstr("ranks 0 and 2 share 0000:01:00.0"));
  EXPECT_THAT(kernels_refused(layout(Topology{}, {"a", "b", "b"})), HasSubstr("ranks 1 and 2 share b")) << "nobody knows them";
}

TEST(Devices, LinesArriveAtOnceOnlyWhereAllPairsAreJoinedByNvlink) {
  const auto has_lines = [](const Topology& topology, const std::vector<std::string>& devices) {
    return protocol_refused(layout(topology, devices), KernelProtocol::ll128).empty();
  };
  EXPECT_TRUE(has_lines(machine({1, 2, 3}), kGpus));
  EXPECT_FALSE(has_lines(machine({1, 2}), kGpus));
  EXPECT_TRUE(has_lines(machine({1, 2}), {kGpus[0], kGpus[1]}));
  EXPECT_FALSE(has_lines(machine({}), kGpus));
  EXPECT_FALSE(has_lines(Topology{}, kGpus)) << "nobody knows";
  Topology ring = machine({});
  for (NodeId a = 1; a <= 3; ++a) ring.links.push_back({.a = a, .b = a % 3 + 1, .kind = LinkKind::nvlink, .bandwidth_gbps = 100});
  EXPECT_TRUE(has_lines(ring, kGpus));
  Topology amd = machine({});
  for (NodeId a = 1; a <= 3; ++a) amd.links.push_back({.a = a, .b = a % 3 + 1, .kind = LinkKind::xgmi, .bandwidth_gbps = 50});
  EXPECT_FALSE(has_lines(amd, kGpus));
  for (const auto protocol : {KernelProtocol::simple, KernelProtocol::ll})
    EXPECT_EQ(protocol_refused(layout(machine({})), protocol), "");
}

TEST(Devices, AreFoundHoweverTheirAddressesAreWritten) {
  Topology t = machine({});
  t.nodes[2].pci_bus_id = "0000:af:00.0";
  for (const std::string bus_id : {"0000:af:00.0", "0000:AF:00.0", "00000000:AF:00.0"}) EXPECT_EQ(gpu_at(t, bus_id), 2) << bus_id;
  for (const std::string bus_id : {"", "0000:ae:00.0", "0001:af:00.0", "af:00.0"})
    EXPECT_EQ(gpu_at(t, bus_id), kNoNode) << bus_id;
}

TEST(Devices, LargerCallsHaveMoreChannels) {
  for (const auto protocol : {KernelProtocol::simple, KernelProtocol::ll, KernelProtocol::ll128}) {
    const DeviceLayout devices = layout(machine({1, 2, 3}));
    EXPECT_EQ(channels_for(protocol, 0, devices), 1U);
    EXPECT_EQ(channels_for(protocol, 1, devices), 1U);
    unsigned before = 1;
    for (std::uint64_t bytes = 1; bytes < std::uint64_t{1} << 40; bytes *= 2) {
      const unsigned channels = channels_for(protocol, bytes, devices);
      EXPECT_GE(channels, before);
      before = channels;
    }
    EXPECT_GT(before, 4U);
  }
}

// What the way carries, by what a block moves.
TEST(Devices, NoMoreChannelsThanTheWayCanFeed) {
  constexpr std::uint64_t kLarge = std::uint64_t{1} << 40;
  const DeviceLayout nvlink = layout(machine({1, 2, 3})), pcie = layout(machine({}));
  EXPECT_EQ(channels_for(KernelProtocol::simple, kLarge, nvlink), 7U);  // 300 GB/s, 47 each
  EXPECT_EQ(channels_for(KernelProtocol::ll128, kLarge, nvlink), 8U);   // 276, 36.7
  EXPECT_EQ(channels_for(KernelProtocol::ll, kLarge, nvlink), 9U);      // 150, 18.4
  EXPECT_EQ(channels_for(KernelProtocol::simple, kLarge, pcie), 1U);
  const DeviceLayout wide = on_gpus(described("core:4 gpu:8 nvlink=1800GB/s"), {0, 1, 2, 3});
  EXPECT_EQ(channels_for(KernelProtocol::simple, kLarge, wide), 16U);
  EXPECT_EQ(channels_for(KernelProtocol::simple, 0, wide), 1U);
}

TEST(Devices, FlagsInDataAreForSmallCalls) {
  for (const Topology& topology : {machine({1, 2, 3}), machine({})}) {
    EXPECT_LT(us(KernelProtocol::ll, 1024, topology), us(KernelProtocol::simple, 1024, topology));
    EXPECT_GT(us(KernelProtocol::ll, 64 << 20, topology), us(KernelProtocol::simple, 64 << 20, topology));
  }
}

TEST(Devices, NearGpusAreCheaper) {
  const Topology pcie = described("package:2 numa:1 core:4 pci_switch:4 gpu:8 pcie=16GB/s");
  const Topology nvlink = described("package:2 numa:1 core:4 pci_switch:4 gpu:8 pcie=16GB/s nvlink=300GB/s");
  const auto both = [](const DeviceLayout& devices, std::uint64_t bytes) {
    const JobMachine streams = on_devices(job(2), devices);
    return std::pair(us(streams, bytes), us(on_kernels(job(2), devices, KernelProtocol::simple, 1), bytes));
  };
  for (const std::uint64_t bytes : {std::uint64_t{8}, std::uint64_t{64} << 20}) {
    const auto joined = both(on_gpus(nvlink, {0, 1}), bytes), one_switch = both(on_gpus(pcie, {0, 1}), bytes);
    const auto sockets = both(on_gpus(pcie, {0, 7}), bytes);
    EXPECT_LT(joined.first, one_switch.first) << bytes;
    EXPECT_LT(joined.second, one_switch.second) << bytes;
    EXPECT_LT(one_switch.first, sockets.first) << bytes;
    EXPECT_LT(one_switch.second, sockets.second) << bytes;
  }
}

TEST(Devices, LevelsAndSharedWaysFollowTheTopology) {
  const Topology pcie = described("package:2 numa:1 core:4 pci_switch:2 gpu:8 pcie=16GB/s");
  const JobMachine m = on_devices(job(8), on_gpus(pcie, {0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_THAT(m.level_names, ElementsAre(Level::package));
  ASSERT_EQ(m.links.size(), 2U);
  EXPECT_LT(m.links[0].latency_us, m.links[1].latency_us);
  EXPECT_FALSE(m.oversubscribed());
  ASSERT_EQ(m.pods.size(), 1U);
  EXPECT_EQ(m.pods[0].size, 4);
  EXPECT_LT(m.pods[0].uplinks, 4) << "four GPUs have one way out";
  const JobMachine kernels = on_kernels(job(8), on_gpus(pcie, {0, 1, 2, 3, 4, 5, 6, 7}), KernelProtocol::ll, 1);
  ASSERT_EQ(kernels.pods.size(), 1U);
  EXPECT_NEAR(kernels.pods[0].uplinks, m.pods[0].uplinks, 1e-9) << "as many links, each with half the data";
  const JobMachine nvlink = on_devices(job(8), on_gpus(described("dgx-h100:1"), {0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_TRUE(nvlink.levels.empty());
  EXPECT_TRUE(nvlink.pods.empty());
  EXPECT_DOUBLE_EQ(nvlink.links.front().bandwidth_gbps, 450);
}

TEST(Devices, RanksThatShareOneHavePartsOfIt) {
  const Topology pcie = described("package:2 numa:1 core:4 gpu:4 pcie=16GB/s");
  const JobMachine shared = on_devices(job(8), on_gpus(pcie, {0, 1, 2, 3, 0, 1, 2, 3}));
  EXPECT_THAT(shared.level_names, ElementsAre(Level::core, Level::package));
  EXPECT_TRUE(shared.oversubscribed());
  EXPECT_GT(shared.links[0].bandwidth_gbps, shared.links[1].bandwidth_gbps);
  EXPECT_GT(us(shared, 64 << 20), us(on_devices(job(4), on_gpus(pcie, {0, 1, 2, 3})), 64 << 20)) << "the way between is no wider";
  const JobMachine one = on_devices(job(8), on_gpus(pcie, {1, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_TRUE(one.levels.empty());
  ASSERT_EQ(one.links.size(), 1U);
  EXPECT_LT(us(one, 64 << 20), us(shared, 64 << 20));
}

TEST(Devices, OneRankAlone) {
  for (const DeviceLayout& alone : {layout(machine({}), {kGpus[0]}), layout(Topology{}, {kGpus[0]})}) {
    const JobMachine m = on_devices(job(1), alone);
    ASSERT_EQ(m.links.size(), 1U);
    EXPECT_GT(m.links[0].bandwidth_gbps, 0);
    EXPECT_EQ(kernels_refused(alone), "");
    EXPECT_EQ(protocol_refused(alone, KernelProtocol::ll128), "");
  }
}

TEST(Devices, AllRanksSeeTheSame) {
  const Topology t = described("package:2 numa:1 core:4 pci_switch:2 gpu:8 pcie=16GB/s");
  auto again = topology_from_json(to_json(t));
  ASSERT_TRUE(again);
  const std::vector<std::size_t> ranks{3, 1, 0, 7, 6, 2, 2, 5};
  for (const auto protocol : {KernelProtocol::simple, KernelProtocol::ll})
    EXPECT_EQ(hash(on_kernels(job(8), on_gpus(t, ranks), protocol, 2)),
              hash(on_kernels(job(8), on_gpus(*again, ranks), protocol, 2)));
}

}  // namespace
}  // namespace tutti
