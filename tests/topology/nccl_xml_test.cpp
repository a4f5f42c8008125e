#include "topology/sources/nccl_xml.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "fixtures.h"

namespace tutti {
namespace {

using ::testing::HasSubstr;

Topology parse(const std::string& xml) {
  auto topology = load_topology(xml);
  if (!topology) {
    ADD_FAILURE() << topology.error().to_string();
    return {};
  }
  return std::move(*topology);
}

const Node& at(const Topology& t, NodeId id) { return t.nodes[static_cast<std::size_t>(id)]; }

std::vector<NodeId> all(const Topology& t, NodeKind kind) {
  std::vector<NodeId> ids;
  for (std::size_t id = 0; id < t.nodes.size(); ++id) {
    if (t.nodes[id].kind == kind) ids.push_back(static_cast<NodeId>(id));
  }
  return ids;
}

// The bandwidth between two nodes; -1 without a link of that kind.
double gbps(const Topology& t, LinkKind kind, NodeId a, NodeId b) {
  double result = -1;
  for (const Link& link : t.links) {
    if (link.kind != kind || std::minmax(link.a, link.b) != std::minmax(a, b)) continue;
    EXPECT_EQ(result, -1) << "said twice";
    result = link.bandwidth_gbps;
  }
  return result;
}

std::string one_gpu(std::string_view attributes, std::string_view inside = "") {
  return fmt::format(
      R"(<system version="1"><cpu numaid="0" affinity="ff"><pci busid="0000:01:00.0" class="0x030200"><gpu {}>{}</gpu></pci></cpu></system>)",
      attributes, inside);
}

TEST(NcclXml, NumaNodesInOrderWithCoresOfTwoPus) {
  const Topology t = parse(test::fixture("nccl.xml"));
  EXPECT_EQ(hosts(t), 1);
  ASSERT_EQ(all(t, NodeKind::numa).size(), 2u);
  const auto cores = usable_cores(t);
  ASSERT_EQ(cores.size(), 8u);
  EXPECT_EQ(at(t, cores[0]).cpus, (std::vector<int>{0, 32}));
  EXPECT_EQ(at(t, cores[7]).cpus, (std::vector<int>{7, 39}));
  EXPECT_EQ(at(t, cores[0]).parent, all(t, NodeKind::numa)[0]);
}

TEST(NcclXml, OneRunOfPusSaysNothingAboutSiblings) {
  const Topology t = parse(R"(<system><cpu numaid="3" affinity="000000ff,00000000"/></system>)");
  EXPECT_EQ(usable_cores(t).size(), 8u);
  EXPECT_EQ(at(t, usable_cores(t)[0]).cpus, std::vector<int>{32});
  EXPECT_EQ(at(t, all(t, NodeKind::numa)[0]).name, "numaid 3");
}

TEST(NcclXml, DevicesAndTheirWayThroughPci) {
  const Topology t = parse(test::fixture("nccl.xml"));
  const auto gpus = all(t, NodeKind::gpu);
  ASSERT_EQ(gpus.size(), 2u);
  EXPECT_EQ(at(t, gpus[0]).name, "sm_90");
  EXPECT_EQ(at(t, gpus[0]).pci_bus_id, "0000:1A:00.0");
  // The bridge above one GPU goes; the GPU keeps its narrow link.
  ASSERT_EQ(all(t, NodeKind::pci_switch).size(), 1u);
  const NodeId pci_switch = all(t, NodeKind::pci_switch)[0];
  EXPECT_NEAR(gbps(t, LinkKind::pcie, pci_switch, gpus[0]), 15.75, 0.01);
  EXPECT_NEAR(gbps(t, LinkKind::pcie, pci_switch, gpus[1]), 63.02, 0.01);
  EXPECT_EQ(at(t, pci_switch).parent, all(t, NodeKind::numa)[0]);
}

TEST(NcclXml, NvlinksOfOnePairAreOneLinkAndSwitchesAreTheirTargets) {
  const Topology t = parse(test::fixture("nccl.xml"));
  const auto gpus = all(t, NodeKind::gpu);
  ASSERT_EQ(all(t, NodeKind::nvswitch).size(), 1u);
  const NodeId nvswitch = all(t, NodeKind::nvswitch)[0], numa = all(t, NodeKind::numa)[0];
  EXPECT_DOUBLE_EQ(gbps(t, LinkKind::nvlink, gpus[0], nvswitch), 100);
  EXPECT_DOUBLE_EQ(gbps(t, LinkKind::nvlink, gpus[1], nvswitch), 125);
  EXPECT_DOUBLE_EQ(gbps(t, LinkKind::nvlink, gpus[0], gpus[1]), 50);
  EXPECT_DOUBLE_EQ(gbps(t, LinkKind::nvlink, gpus[0], numa), 25);   // POWER's processors have NVLinks
  EXPECT_DOUBLE_EQ(gbps(t, LinkKind::nvlink, gpus[1], numa), 448);  // as have Grace's, by another name
  const auto nvlinks = std::ranges::count(t.links, LinkKind::nvlink, &Link::kind);
  EXPECT_EQ(nvlinks, 5) << "the GPU that the file leaves out has none";
}

TEST(NcclXml, SwitchesThatAVirtualMachineDoesNotShow) {
  const std::string xml = one_gpu(R"(sm="100")", R"(<nvlink target="fffffff:ffff:ff" count="18" tclass="0x068000"/>)");
  const Topology t = parse(xml);
  ASSERT_EQ(all(t, NodeKind::nvswitch).size(), 1u);
  EXPECT_EQ(at(t, all(t, NodeKind::nvswitch)[0]).pci_bus_id, "");
  EXPECT_DOUBLE_EQ(t.links.front().bandwidth_gbps, 900);
  // Without a class, a target that is no GPU is one as well.
  EXPECT_EQ(all(parse(one_gpu(R"(sm="80")", R"(<nvlink target="0000:99:00.0" count="2"/>)")), NodeKind::nvswitch).size(), 1u);
}

TEST(NcclXml, BandwidthsByGeneration) {
  for (const auto& [gpu, wire, expected] : {std::tuple{R"(sm="60")", "nvlink", 20.0},
                                            {R"(sm="70")", "nvlink", 25.0},
                                            {R"(sm="80")", "nvlink", 25.0},
                                            {R"(sm="86")", "nvlink", 14.0625},
                                            {R"(sm="90")", "nvlink", 25.0},
                                            {R"(sm="103")", "nvlink", 50.0},
                                            {R"(sm="35")", "nvlink", 0.0},
                                            {"", "nvlink", 0.0},
                                            {R"(sm="120" gcn="908")", "xgmi", 46.0},
                                            {R"(sm="104" gcn="910")", "xgmi", 50.0},
                                            {R"(sm="304" gcn="gfx942")", "xgmi", 64.0},
                                            {R"(sm="304" gcn="gfx90a:sramecc+:xnack-")", "xgmi", 50.0},
                                            {R"(sm="304" gcn="gfx9999")", "xgmi", 0.0}}) {
    const std::string xml = fmt::format(
        R"(<system><cpu numaid="0" affinity="1"><pci busid="0000:01:00.0" class="0x120000"><gpu {0}><{1} target="0000:02:00.0" count="1" tclass="0x120000"/></gpu></pci>)"
        R"(<pci busid="0000:02:00.0" class="0x120000"><gpu {0}/></pci></cpu></system>)",
        gpu, wire);
    const Topology t = parse(xml);
    ASSERT_EQ(t.links.size(), 1u) << xml;
    EXPECT_DOUBLE_EQ(t.links[0].bandwidth_gbps, expected) << xml;
    EXPECT_EQ(t.links[0].origin, Origin::file);
  }
}

TEST(NcclXml, NicsPortsAndNetworks) {
  const Topology t = parse(test::fixture("nccl.xml"));
  const auto nics = all(t, NodeKind::nic);
  ASSERT_EQ(nics.size(), 3u);
  EXPECT_EQ(at(t, nics[0]).name, "mlx5_0");
  EXPECT_EQ(at(t, nics[0]).pci_bus_id, at(t, nics[1]).pci_bus_id);
  EXPECT_EQ(at(t, nics[2]).parent, all(t, NodeKind::numa)[1]);
  const NodeId network = all(t, NodeKind::net_switch).at(0);
  EXPECT_DOUBLE_EQ(gbps(t, LinkKind::network, nics[0], network), 50);
  EXPECT_DOUBLE_EQ(gbps(t, LinkKind::network, nics[2], network), 1.25);
  for (const Link& link : t.links) {
    if (link.kind != LinkKind::network) continue;
    EXPECT_DOUBLE_EQ(link.latency_us, link.a == nics[0] ? 1.5 : (link.a == nics[1] ? 2 : 10));
  }
}

TEST(NcclXml, HandwrittenFilesOfClouds) {
  const Topology t = parse(
      R"(<system version="1"><cpu numaid="0" affinity="0000000f"><pci busid="ffff:ff:01.0" class="0x060400" link_speed="16 GT/s" link_width="16">
           <pci busid="0001:00:00.0" class="0x030200" vendor="0x10de" device="0x20b0" link_speed="16 GT/s" link_width="16"/>
           <pci busid="0101:00:00.0" class="0x020000" vendor="0x1d0f" device="0xefa0" link_speed="16 GT/s" link_width="16"/>
         </pci></cpu></system>)");
  ASSERT_EQ(all(t, NodeKind::gpu).size(), 1u);
  EXPECT_EQ(at(t, all(t, NodeKind::gpu)[0]).name, "10de:20b0");
  ASSERT_EQ(all(t, NodeKind::nic).size(), 1u);
  EXPECT_EQ(t.links.back().bandwidth_gbps, 0);
  EXPECT_EQ(t.links.back().latency_us, 2) << "EFA is no ordinary Ethernet";
  EXPECT_EQ(t.links.back().origin, Origin::estimate);
}

TEST(NcclXml, HostsOfOneFileDifferByTheirHash) {
  const std::string cpu =
      R"(<cpu host_hash="{}" numaid="0" affinity="3"><pci busid="0000:01:00.0" class="0x030200"><gpu sm="100">)"
      R"(<nvlink target="fffffff:ffff:ff" count="18" tclass="0x068000"/></gpu></pci></cpu>)";
  const Topology t =
      parse("<system>" + fmt::format(fmt::runtime(cpu), "0xa") + fmt::format(fmt::runtime(cpu), "0xb") + "</system>");
  EXPECT_EQ(hosts(t), 2);
  EXPECT_EQ(all(t, NodeKind::nvswitch).size(), 1u) << "which they share";
}

TEST(NcclXml, BridgesOfOneHostThatGoDoNotMoveWhatIsSaidOfAnother) {
  const auto nested = [](int bridges) {
    std::string xml = R"(<pci busid="0000:09:00.0" class="0x030200"/>)";
    for (int i = bridges; i > 0; --i) xml = fmt::format(R"(<pci busid="0000:0{}:00.0" class="0x060400">{}</pci>)", i, xml);
    return xml;
  };
  const std::string host = R"(<cpu host_hash="{}" numaid="0" affinity="1">{}</cpu>)";
  const std::string of_a_cloud = R"(<pci busid="ffff:ff:01.0" class="0x060400"><pci busid="0001:00:00.0" class="0x030200"/>)"
                                 R"(<pci busid="0002:00:00.0" class="0x030200"/></pci>)";
  for (const int bridges : {1, 3, 8}) {
    const Topology t = parse("<system>" + fmt::format(fmt::runtime(host), "0xa", nested(bridges)) +
                             fmt::format(fmt::runtime(host), "0xb", of_a_cloud) + "</system>");
    ASSERT_EQ(hosts(t), 2);
    EXPECT_EQ(all(t, NodeKind::pci_switch).size(), 1u);
    EXPECT_EQ(at(t, machine_of(t, 0)).virtual_machine, "");
    EXPECT_THAT(at(t, machine_of(t, 1)).virtual_machine, HasSubstr("addresses that no bus has"));
  }
}

TEST(NcclXml, WhatIsWrongIsSaid) {
  for (const auto& [xml, reason] :
       {std::pair{"<system/>", "without a <cpu>"},
        {R"(<system><cpu affinity="xyz"/></system>)", "line 1: affinity"},
        {R"(<system><cpu affinity="0xf...f"/></system>)", "affinity is no list"},
        {R"(<system><cpu numaid="0" affinity="1"/><cpu numaid="1" affinity="1"/></system>)", "PU 0 belongs to node"},
        {R"(<system><cpu></system>)", "</system> where </cpu> is due"}}) {
    const auto topology = load_topology(xml);
    ASSERT_FALSE(topology) << xml;
    EXPECT_EQ(topology.error().code(), Code::protocol);
    EXPECT_THAT(topology.error().to_string(), HasSubstr(reason));
  }
}

}  // namespace
}  // namespace tutti
