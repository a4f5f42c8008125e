#include "topology/sources/hwloc_xml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "fixtures.h"

namespace tutti {
namespace {

using ::testing::HasSubstr;

Topology load(const std::string& name) {
  auto topology = load_topology(test::fixture_path(name));
  if (!topology) {
    ADD_FAILURE() << topology.error().to_string();
    return {};
  }
  return std::move(*topology);
}

std::vector<Node> all(const Topology& t, NodeKind kind) {
  std::vector<Node> nodes;
  std::copy_if(t.nodes.begin(), t.nodes.end(), std::back_inserter(nodes), [&](const Node& n) { return n.kind == kind; });
  return nodes;
}

const Node& at(const Topology& t, NodeId id) { return t.nodes[static_cast<std::size_t>(id)]; }

TEST(HwlocXml, ContainersCoresAndMemory) {
  const Topology t = load("small.xml");
  EXPECT_EQ(t.nodes.front().name, "small \"one\"");
  ASSERT_EQ(all(t, NodeKind::package).size(), 2u);
  EXPECT_EQ(all(t, NodeKind::package)[0].name, "Imagined CPU 3000");
  ASSERT_EQ(all(t, NodeKind::numa).size(), 2u);
  EXPECT_EQ(all(t, NodeKind::numa)[0].memory_bytes, 8ull << 30);
  const auto cores = all(t, NodeKind::core);
  ASSERT_EQ(cores.size(), 3u);
  EXPECT_EQ(cores[0].cpus, (std::vector<int>{0, 1}));
  EXPECT_EQ(cores[2].cpus, std::vector<int>{5});  // PU 4 is not allowed
  EXPECT_EQ(cores[0].cache_bytes, 1u << 20);
  EXPECT_EQ(at(t, cores[0].parent).kind, NodeKind::l3);
  EXPECT_EQ(at(t, at(t, cores[0].parent).parent).kind, NodeKind::numa);
  EXPECT_EQ(cache_sizes(t), (CacheSizes{1u << 20, 16u << 20, 2}));
}

TEST(HwlocXml, Devices) {
  const Topology t = load("small.xml");
  const auto gpus = all(t, NodeKind::gpu);
  ASSERT_EQ(gpus.size(), 2u);
  EXPECT_EQ(gpus[0].name, "Imagined GPU");
  EXPECT_EQ(gpus[0].memory_bytes, 16ull << 30);
  EXPECT_EQ(gpus[0].pci_bus_id, "0000:01:00.0");
  EXPECT_EQ(at(t, gpus[0].parent).kind, NodeKind::pci_switch);
  EXPECT_EQ(gpus[0].parent, gpus[1].parent);
  const auto nics = all(t, NodeKind::nic);
  ASSERT_EQ(nics.size(), 1u);
  EXPECT_EQ(nics[0].name, "ib0");                         // the interface, not the verbs device
  EXPECT_EQ(at(t, nics[0].parent).kind, NodeKind::numa);  // a bridge above one device says nothing
  ASSERT_EQ(all(t, NodeKind::nvswitch).size(), 1u);       // known by its NVLinks
  EXPECT_EQ(all(t, NodeKind::pci_switch).size(), 2u);
}

TEST(HwlocXml, DistancesBecomeLinks) {
  const Topology t = load("small.xml");
  const auto links = [&](LinkKind kind) {
    return std::count_if(t.links.begin(), t.links.end(), [&](const Link& l) { return l.kind == kind; });
  };
  EXPECT_EQ(links(LinkKind::nvlink), 2);
  EXPECT_EQ(links(LinkKind::memory), 1);
  EXPECT_EQ(links(LinkKind::pcie), 5);
  for (const Link& link : t.links) {
    if (link.kind == LinkKind::nvlink) {
      const bool to_switch = at(t, link.b).kind == NodeKind::nvswitch;
      EXPECT_DOUBLE_EQ(link.bandwidth_gbps, to_switch ? 25 : 50);
      EXPECT_EQ(link.origin, Origin::file);
    }
    if (link.kind == LinkKind::memory) {
      EXPECT_NEAR(link.latency_us, 0.22, 1e-12);
    }
  }
  EXPECT_NEAR(between(t, Level::host).latency_us, 0.22, 1e-12);
}

TEST(HwlocXml, NewerAndOlderFormats) {
  const Topology newer = load("format3.xml");
  EXPECT_EQ(all(newer, NodeKind::core).size(), 2u);  // PUs without cores are cores
  const auto numa = all(newer, NodeKind::numa);
  ASSERT_EQ(numa.size(), 2u);
  EXPECT_EQ(numa[1].name, "HBM");
  ASSERT_EQ(all(newer, NodeKind::nic).size(), 1u);
  EXPECT_EQ(all(newer, NodeKind::nic)[0].name, "hsn0");

  const Topology older = load("format1.xml");
  EXPECT_EQ(all(older, NodeKind::numa).size(), 2u);
  EXPECT_EQ(all(older, NodeKind::package).size(), 2u);
  EXPECT_EQ(all(older, NodeKind::l3).size(), 2u);
  EXPECT_EQ(usable_cores(older).size(), 4u);
}

TEST(HwlocXml, OneNumaNodeForAllPackagesLiesBesideThem) {
  const auto package = [](int i) {
    return R"(<object type="Package"><object type="Core"><object type="PU" os_index=")" + std::to_string(i) +
           R"("/></object></object>)";
  };
  const std::string memory = R"(<object type="NUMANode" os_index="0" local_memory="1073741824"/>)";
  const auto load_machine = [](const std::string& inside) {
    return *load_topology("<topology><object type=\"Machine\">" + inside + "</object></topology>");
  };
  const Topology beside = load_machine(memory + package(0) + package(1));
  ASSERT_EQ(all(beside, NodeKind::package).size(), 2u);
  EXPECT_EQ(all(beside, NodeKind::package)[0].parent, 0);
  EXPECT_EQ(all(beside, NodeKind::numa).at(0).memory_bytes, 1u << 30);
  EXPECT_EQ(locate(beside, std::vector<int>{0}, 0).numa, -1) << "it tells nobody apart";
  // Groups of packages are told apart by theirs.
  const Topology around = load_machine("<object type=\"Group\">" + memory + package(0) + package(1) + "</object>");
  EXPECT_EQ(at(around, all(around, NodeKind::package)[0].parent).kind, NodeKind::numa);
}

TEST(HwlocXml, ABridgeThatGoesLeavesItsSpeed) {
  const Topology t = *load_topology(
      R"(<topology version="2.0"><object type="Machine"><object type="Core"><object type="PU" os_index="0"/></object>
           <object type="Bridge" bridge_type="1-1" pci_busid="0000:00:01.0" pci_link_speed="7.5">
             <object type="PCIDev" pci_busid="0000:01:00.0" pci_type="0302 [10de:20b0] [0000:0000] a1" pci_link_speed="31.5"/>
           </object></object></topology>)");
  EXPECT_TRUE(all(t, NodeKind::pci_switch).empty());
  ASSERT_EQ(t.links.size(), 1u);
  EXPECT_DOUBLE_EQ(t.links[0].bandwidth_gbps, 7.5);
}

TEST(HwlocXml, DamagedFilesAreRefusedByName) {
  for (const auto& [file, reason] : {std::pair{"truncated.xml", "line "},
                                     {"same_pu_twice.xml", "PU 0 belongs to node"},
                                     {"entities.xml", "document type with declarations"}}) {
    const auto topology = load_topology(test::fixture_path(file));
    ASSERT_FALSE(topology) << file;
    EXPECT_EQ(topology.error().code(), Code::protocol);
    EXPECT_THAT(topology.error().to_string(), HasSubstr(file));
    EXPECT_THAT(topology.error().to_string(), HasSubstr(reason));
  }
}

TEST(HwlocXml, DocumentsThatAreNoMachine) {
  for (const auto& [text, reason] :
       {std::pair{"<topology/>", "no object of type Machine"},
        {"<topology><object type=\"Machine\"/></topology>", "no cores"},
        {"<topology><object type=\"Machine\"><object type=\"PU\" os_index=\"-5\"/></object></topology>", "os_index"},
        {"<topology><object type=\"Machine\" allowed_cpuset=\"zz\"/></topology>", "not a bitmap"},
        {"<html/>", "root <html>"}}) {
    const auto topology = load_topology(text);
    ASSERT_FALSE(topology) << text;
    EXPECT_THAT(topology.error().to_string(), HasSubstr(reason));
  }
}

TEST(HwlocXml, AMalformedMatrixIsLeftOut) {
  std::string text = test::fixture("small.xml");
  const std::string values = "10 22 22 10 ";
  text.replace(text.find(values), values.size(), "10 22 22 ");
  const auto topology = load_topology(text);
  ASSERT_TRUE(topology) << topology.error().to_string();
  EXPECT_TRUE(
      std::none_of(topology->links.begin(), topology->links.end(), [](const Link& l) { return l.kind == LinkKind::memory; }));
}

}  // namespace
}  // namespace tutti
