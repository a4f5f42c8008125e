#include "topology/sources/network.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "fixtures.h"

namespace tutti {
namespace {

TEST(Network, SpeedsAndInterfacesOffThePciBus) {
  const test::TemporaryFolder sys;
  sys.write("net/veth0/type", "1\n");
  sys.write("net/veth0/operstate", "up\n");
  sys.write("net/veth0/speed", "10000\n");
  sys.write("net/lo/type", "772\n");
  sys.write("net/lo/operstate", "unknown\n");
  sys.write("net/down0/type", "1\n");
  sys.write("net/down0/operstate", "down\n");
  sys.write("net/br0/type", "1\n");
  sys.write("net/br0/operstate", "up\n");
  sys.write("net/br0/bridge/forward_delay", "0\n");
  sys.write("net/ib0/type", "32\n");
  sys.write("net/ib0/operstate", "up\n");
  sys.write("net/ib0/speed", "-1\n");
  sys.write("infiniband/ib0/ports/1/rate", "100 Gb/sec (4X EDR)\n");

  Topology topology = *load_topology(test::fixture_path("small.xml"));  // has ib0 on its PCI bus
  add_network(topology, sys.path());
  ASSERT_TRUE(check(topology));
  std::vector<std::pair<std::string, double>> nics;
  for (const Link& link : topology.links) {
    if (link.kind == LinkKind::network)
      nics.emplace_back(topology.nodes[static_cast<std::size_t>(link.a)].name, link.bandwidth_gbps);
  }
  EXPECT_EQ(nics, (std::vector<std::pair<std::string, double>>{{"ib0", 12.5}, {"veth0", 1.25}}));
  const LinkParameters network = between(topology, Level::network);
  EXPECT_DOUBLE_EQ(network.bandwidth_gbps, 12.5);
  EXPECT_DOUBLE_EQ(network.latency_us, 2);
  EXPECT_EQ(network.origin, Origin::system);
}

TEST(Network, AnInterfaceMayHaveAnRdmaDeviceBesideIt) {
  const test::TemporaryFolder sys;
  for (const auto& [name, node_type] : {std::pair("ens1", "1: CA\n"), std::pair("ens2", "4: RNIC\n")}) {
    const std::string entry = std::string("net/") + name;
    sys.write(entry + "/type", "1\n");
    sys.write(entry + "/operstate", "up\n");
    sys.write(entry + "/speed", "100000\n");
    sys.write(entry + "/device/infiniband/some_0/node_type", node_type);
  }
  Topology topology = *load_topology("core:2");
  add_network(topology, sys.path());
  ASSERT_EQ(topology.links.size(), 2U);
  EXPECT_DOUBLE_EQ(topology.links[0].latency_us, 2) << "RoCE";
  EXPECT_DOUBLE_EQ(topology.links[1].latency_us, 10) << "iWARP, which goes another way than verbs";
}

TEST(Network, NothingThereMeansNoNetwork) {
  const test::TemporaryFolder sys;
  Topology topology = *load_topology("core:2");
  const Topology before = topology;
  add_network(topology, sys.path());
  EXPECT_EQ(topology, before);
}

}  // namespace
}  // namespace tutti
