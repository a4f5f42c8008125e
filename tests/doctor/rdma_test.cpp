// What is said of RDMA devices, of the memory that they need locked, and of the transports of a host.
#include <fmt/format.h>

#include "doctor/checks.h"
#include "doctor/transports.h"
#include "ports.h"

namespace tutti::doctor {
namespace {

using test::has_ports;
using test::infiniband;
using test::is;
using test::only;
using test::roce;
using test::Tree;
using testing::ElementsAre;
using testing::HasSubstr;
using enum Severity;

TEST(DoctorRdma, AHostWithoutDevicesIsWell) {
  Tree tree;
  EXPECT_THAT(check_rdma(tree.system), only(ok, "there is no RDMA device"));
  tree.system.rdma.none = "libibverbs.so.1 cannot be loaded (no such file)";
  EXPECT_THAT(check_rdma(tree.system), only(ok, "there is no RDMA device"));
  has_ports(tree, {});
  EXPECT_THAT(check_rdma(tree.system), only(ok, "there is no RDMA device"));
}

TEST(DoctorRdma, TellsOfEachPortAndWhichWouldBeTaken) {
  Tree tree;
  has_ports(tree, {roce("mlx5_0"), infiniband("mlx5_1")});
  EXPECT_THAT(
      check_rdma(tree.system),
      ElementsAre(is(ok, "tutti would take port 1 of mlx5_0, port 1 of mlx5_1"),
                  is(ok, "port 1 of mlx5_0: active, RoCE, 25 Gbit/s, MTU 4096, GID 1 (::ffff:10.0.0.1, RoCE v2 over IPv4)"),
                  is(ok, "port 1 of mlx5_1: active, InfiniBand, 200 Gbit/s, MTU 4096, GID 0 (fe80::2:c903:1:1, InfiniBand)")));
}

TEST(DoctorRdma, WhatIsNearIsTakenFirst) {
  Tree tree;
  tree.described("numa:2 core:2 nic:2").write("proc/self/status", "Cpus_allowed_list:\t2-3\n");
  std::vector<verbs::Port> ports;
  for (Node& node : tree.system.topology.nodes) {
    if (node.kind != NodeKind::nic) continue;
    node.pci_bus_id = fmt::format("0000:{}:00.0", ports.size());
    ports.push_back(roce(fmt::format("mlx5_{}", ports.size())));
    ports.back().pci = node.pci_bus_id;
  }
  has_ports(tree, std::move(ports));
  EXPECT_THAT(check_rdma(tree.system).front(),
              is(ok, "tutti would take port 1 of mlx5_1; port 1 of mlx5_0, farther away, where these do not get"));
  tree.system.ib_devices = "mlx5_0,mlx5_1";
  EXPECT_THAT(check_rdma(tree.system).front(), is(ok, "tutti would take port 1 of mlx5_0, port 1 of mlx5_1"));
}

TEST(DoctorRdma, TheLibraryIsMissing) {
  Tree tree;
  tree.folder("sys/class/infiniband/mlx5_0").folder("sys/class/infiniband/mlx5_1");
  tree.system.rdma.none = "libibverbs.so.1 cannot be loaded (no such file)";
  EXPECT_THAT(check_rdma(tree.system), only(warning, "mlx5_0, mlx5_1 cannot be used: libibverbs.so.1 cannot be loaded"));
  EXPECT_THAT(check_rdma(tree.system).front().mend, HasSubstr("ibverbs-providers"));
}

TEST(DoctorRdma, DevicesThatLibibverbsDoesNotShow) {
  Tree tree;
  has_ports(tree, {});
  tree.folder("sys/class/infiniband/mlx5_0");
  EXPECT_THAT(check_rdma(tree.system), only(warning, "mlx5_0 cannot be used: it has no interface for programs"));
  EXPECT_THAT(check_rdma(tree.system).front().mend, HasSubstr("ib_uverbs"));
  tree.write("sys/class/infiniband_verbs/abi_version", "6\n");
  tree.write("sys/class/infiniband_verbs/uverbs2/ibdev", "mlx5_0\n");
  EXPECT_THAT(check_rdma(tree.system), only(warning, "mlx5_0 cannot be used: there is no /dev/infiniband/uverbs2"));
  EXPECT_THAT(check_rdma(tree.system).front().mend, HasSubstr("docker --device"));
  tree.write("dev/infiniband/uverbs2", "");
  EXPECT_THAT(check_rdma(tree.system), only(warning, "libibverbs has no driver for it"));
  tree.system.rdma.refused = {{"mlx5_0", "opening the RDMA device mlx5_0: EPERM"}};
  EXPECT_THAT(check_rdma(tree.system), only(warning, "mlx5_0 cannot be used: opening the RDMA device mlx5_0: EPERM"));
  EXPECT_EQ(used_ports(tree.system).error().to_string(), "no RDMA device can be opened: opening the RDMA device mlx5_0: EPERM");
  tree.system.rdma.refused.clear();
  tree.system.rdma.unsuitable = {"mlx5_0"};
  EXPECT_THAT(check_rdma(tree.system), only(note, "mlx5_0 is neither InfiniBand nor RoCE"));
}

TEST(DoctorRdma, PortsThatAreNotActive) {
  Tree tree;
  verbs::Port down = roce("mlx5_0");
  down.state = IBV_PORT_DOWN;
  has_ports(tree, {down, infiniband("mlx5_1", IBV_PORT_INIT)});
  EXPECT_THAT(check_rdma(tree.system),
              ElementsAre(is(warning, "tutti would take no port: port 1 of mlx5_0 is down, port 1 of mlx5_1 is waiting"),
                          is(note, "port 1 of mlx5_0: down, RoCE"),
                          is(warning, "port 1 of mlx5_1: waiting for a subnet manager, InfiniBand")));
  EXPECT_THAT(check_rdma(tree.system).back().mend, HasSubstr("opensm"));
  tree.write("sys/class/infiniband/mlx5_0/ports/1/phys_state", "3: Disabled\n");
  tree.system.ib_devices = "=mlx5_0";
  EXPECT_THAT(check_rdma(tree.system),
              ElementsAre(is(warning, "tutti would take no port: port 1 of mlx5_0 is down"), is(note, "its link is 3: Disabled"),
                          is(ok, "TUTTI_IB_DEVICES leaves it out")));
}

TEST(DoctorRdma, TheSettingMatchesNothing) {
  Tree tree;
  has_ports(tree, {roce("mlx5_0")});
  tree.system.ib_devices = "bnxt";
  EXPECT_THAT(check_rdma(tree.system), ElementsAre(is(warning, "TUTTI_IB_DEVICES=\"bnxt\" leaves no port of an RDMA device"),
                                                   is(ok, "TUTTI_IB_DEVICES leaves it out")));
  EXPECT_THAT(check_rdma(tree.system).front().mend, HasSubstr("unset TUTTI_IB_DEVICES"));
  tree.system.ib_devices = "mlx5_0:x";
  EXPECT_THAT(check_rdma(tree.system).front(), is(warning, "\"mlx5_0:x\" is no device"));
}

TEST(DoctorRdma, Gids) {
  Tree tree;
  has_ports(tree, {roce("mlx5_0"), roce("mlx5_1")});
  tree.system.rdma.ports[1].gids.pop_back();
  EXPECT_THAT(check_rdma(tree.system).back(), is(ok, "GID 0 (fe80::1, RoCE v2 over IPv6)"));
  tree.system.ib_gid_index = 1;
  EXPECT_THAT(check_rdma(tree.system),
              ElementsAre(is(warning, "tutti would take no port: TUTTI_IB_GID_INDEX=1: port 1 of mlx5_1 has no such GID"),
                          is(ok, "GID 1 (::ffff:10.0.0.1"), is(warning, "TUTTI_IB_GID_INDEX=1: port 1 of mlx5_1")));
  tree.system.ib_gid_index = -1;
  tree.system.rdma.ports[1].gids.clear();
  EXPECT_THAT(check_rdma(tree.system), ElementsAre(is(ok, "tutti would take port 1 of mlx5_0"), is(ok, "port 1 of mlx5_0"),
                                                   is(warning, "port 1 of mlx5_1 has no GID")));
}

TEST(DoctorRdma, OldRoce) {
  Tree tree;
  has_ports(tree, {roce("mlx5_0")});
  tree.system.rdma.ports[0].gids = {test::gid(0, "fe80::1", IBV_GID_TYPE_ROCE_V1)};
  EXPECT_THAT(check_rdma(tree.system),
              ElementsAre(is(ok, "would take"), is(note, "would be used with RoCE v1"), is(ok, "RoCE v1")));
}

TEST(DoctorRdma, TheTransportIsNotAllowedOrTheOnlyOne) {
  Tree tree;
  has_ports(tree, {roce("mlx5_0")});
  tree.system.transport_spec = "shm,tcp";
  EXPECT_THAT(check_rdma(tree.system).front(), is(note, "TUTTI_TRANSPORT leaves verbs out, which would take port 1 of mlx5_0"));
  tree.system.rdma.ports[0].state = IBV_PORT_DOWN;
  EXPECT_THAT(check_rdma(tree.system).front(), is(note, "tutti would take no port"));
  tree.system.transport_spec = "shm,verbs";
  EXPECT_THAT(check_rdma(tree.system).front(), is(warning, "tutti would take no port"));
  tree.system.ranks = 2;
  EXPECT_THAT(check_rdma(tree.system).front(), is(problem, "tutti would take no port"));
}

TEST(DoctorRdma, PacketsAndTheInterfaceBelow) {
  Tree tree;
  has_ports(tree, {roce("mlx5_0")});
  verbs::Port& port = tree.system.rdma.ports[0];
  port.mtu = IBV_MTU_1024;
  EXPECT_EQ(check_rdma(tree.system).size(), 2U) << "whose MTU it is nobody tells";
  tree.write("sys/class/infiniband/mlx5_0/ports/1/gid_attrs/ndevs/1", "eth0\n").write("sys/class/net/eth0/mtu", "1500\n");
  Findings findings = check_rdma(tree.system);
  ASSERT_THAT(findings, ElementsAre(is(ok, "tutti would take"),
                                    is(note, "port 1 of mlx5_0 has an MTU of 1024, as eth0's MTU is 1500"), is(ok, "")));
  EXPECT_EQ(findings[1].costs, "large messages take 4 times as many packets as they could");
  EXPECT_THAT(findings[1].mend, HasSubstr("ip link set eth0 mtu 4200"));
  tree.write("sys/class/net/eth0/mtu", "4200\n");
  EXPECT_THAT(check_rdma(tree.system)[1], is(note, "1024, though eth0's MTU of 4200 has room for 4096"));
  port.most_mtu = IBV_MTU_2048;
  EXPECT_THAT(check_rdma(tree.system)[1], is(note, "1024, though eth0's MTU of 4200 has room for 2048"));
  port.mtu = IBV_MTU_2048;
  EXPECT_EQ(check_rdma(tree.system).size(), 2U) << "the device cannot do more";
}

TEST(DoctorRdma, ADeviceOfAnotherNumaNode) {
  Tree tree;
  has_ports(tree, {roce("mlx5_0")});
  tree.write("sys/class/infiniband/mlx5_0/device/numa_node", "1\n").write("sys/devices/system/node/node1/cpulist", "4-7\n");
  tree.write("proc/self/status", "Cpus_allowed_list:\t0-7\n");
  EXPECT_EQ(check_rdma(tree.system).size(), 2U);
  tree.write("proc/self/status", "Cpus_allowed_list:\t0-3\n");
  EXPECT_THAT(check_rdma(tree.system)[1],
              is(warning, "port 1 of mlx5_0 is of NUMA node 1 (PUs 4-7), and this process may run on PUs 0-3 only"));
  tree.write("sys/class/infiniband/mlx5_0/device/numa_node", "-1\n");
  EXPECT_EQ(check_rdma(tree.system).size(), 2U);
}

TEST(DoctorRdma, LockedMemory) {
  Tree tree;
  EXPECT_THAT(check_locked_memory(tree.system), only(note, "cannot be read"));
  const auto limit = [&](const std::string& bytes) {
    tree.write("proc/self/limits",
               fmt::format("Max locked memory         {0}                {0}                bytes     \n", bytes));
  };
  limit("65536");
  EXPECT_THAT(check_locked_memory(tree.system), only(ok, "verbs, which locks some, would use no device"));
  has_ports(tree, {roce("mlx5_0")});
  EXPECT_THAT(check_locked_memory(tree.system),
              only(warning, "65536 bytes of memory may be locked, and RDMA connections take 266240 of it each"));
  tree.system.transport_spec = "^verbs";
  EXPECT_THAT(check_locked_memory(tree.system), only(ok, "would use no device"));
  tree.system.transport_spec = "";
  limit("8388608");
  EXPECT_THAT(check_locked_memory(tree.system), only(warning, "8388608 bytes"));
  tree.system.ranks = 100;
  tree.system.ranks_here = 4;
  EXPECT_THAT(check_locked_memory(tree.system), only(warning, "take 25559040 of it with 96 ranks on other hosts"));
  tree.system.ib_ring_bytes = 16 << 10;
  EXPECT_THAT(check_locked_memory(tree.system), only(warning, "take 3538944 of it"));
  limit("2147483648");
  EXPECT_THAT(check_locked_memory(tree.system), only(ok, "2147483648 bytes"));
  limit("unlimited");
  EXPECT_THAT(check_locked_memory(tree.system), only(ok, "unlimited of memory may be locked"));
}

TEST(DoctorRdma, WhomTheLimitOfLockedMemoryDoesNotBind) {
  Tree tree;
  has_ports(tree, {roce("mlx5_0")});
  tree.write("proc/self/limits", "Max locked memory         65536                65536                bytes     \n");
  tree.system.is_root = true;
  EXPECT_THAT(check_locked_memory(tree.system), only(ok, "CAP_IPC_LOCK"));
  tree.write("proc/self/status", "CapEff:\t00000000a80425fb\n");  // root in docker
  EXPECT_THAT(check_locked_memory(tree.system), only(warning, "65536 bytes"));
  tree.system.is_root = false;
  tree.write("proc/self/status", "CapEff:\t0000000000004000\n");
  EXPECT_THAT(check_locked_memory(tree.system), only(ok, "CAP_IPC_LOCK"));
  tree.write("proc/self/uid_map", "         0          0 4294967295\n");
  EXPECT_THAT(check_locked_memory(tree.system), only(ok, "CAP_IPC_LOCK"));
  tree.write("proc/self/uid_map", "         0       1000          1\n");
  EXPECT_THAT(check_locked_memory(tree.system), only(warning, "65536 bytes"));
}

TEST(DoctorTransports, OfOneHost) {
  Tree tree;
  tree.interface("lo", "127.0.0.1").interface("eth0", "10.0.0.1");
  EXPECT_THAT(check_transports(tree.system),
              only(ok, "within this host: shm, else as between hosts; to other hosts like it: tcp over eth0"));
  has_ports(tree, {roce("mlx5_0"), roce("mlx5_1")});
  EXPECT_THAT(check_transports(tree.system),
              only(ok,
                   "to other hosts like it: verbs over port 1 of mlx5_0, port 1 of mlx5_1 (RoCE v2 over IPv4, 2 x 25 Gbit/s), "
                   "else tcp over eth0"));
  tree.system.rdma.ports[1].megabits = 100000;
  EXPECT_THAT(check_transports(tree.system), only(ok, "(RoCE v2 over IPv4, 25 + 100 Gbit/s)"));
  tree.system.transport_spec = "tcp,ucx";
  EXPECT_THAT(check_transports(tree.system),
              only(ok, "within this host: tcp over eth0, else ucx; to other hosts like it: tcp over eth0, else ucx"));
}

TEST(DoctorTransports, NothingIsLeft) {
  Tree tree;
  tree.interface("eth0", "10.0.0.1").system.transport_spec = "shm";
  EXPECT_THAT(check_transports(tree.system), only(note, "to other hosts like it: nothing"));
  tree.system.ranks = 2;
  EXPECT_THAT(check_transports(tree.system), only(problem, "to other hosts like it: nothing"));
  tree.system.transport_spec = "verbs";
  EXPECT_THAT(check_transports(tree.system), only(problem, "no transport that is allowed works here"));
  tree.system.transport_spec = "rdma";
  EXPECT_THAT(check_transports(tree.system), only(problem, "TUTTI_TRANSPORT=\"rdma\": there is no transport \"rdma\""));
  tree.system.transport_spec = "^shm,verbs,tcp,loopback";
  EXPECT_THAT(check_transports(tree.system), only(problem, "leaves no transport"));
}

}  // namespace
}  // namespace tutti::doctor
