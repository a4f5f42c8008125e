// RDMA ports of several hosts compared, and the transports between ranks.
#include "ports.h"

#include "doctor/transports.h"
#include "jobs.h"

namespace tutti::doctor {
namespace {

using enum Severity;
using test::shared;
using testing::ElementsAre;
using testing::HasSubstr;
using verbs::Fabric;

const PortFacts kRoce{"port 1 of mlx5_0", {.fabric = Fabric::roce_ipv4, .network_bits = 64, .megabits = 25000}, 4096};

PortFacts changed(PortFacts port, Fabric fabric) {
  port.summary.fabric = fabric;
  return port;
}

// Ranks 0 and 1 on h1, 2 and 3 on h2.
Job hosts_with(const std::vector<PortFacts>& first, const std::vector<PortFacts>& second) {
  Job job = test::two_hosts();
  for (std::size_t r = 0; r < job.ranks.size(); ++r) {
    job.ranks[r].transports = {"shm", "verbs", "tcp"};
    job.ranks[r].ports = r < 2 ? first : second;
    if (job.ranks[r].ports.empty()) job.ranks[r].no_ports = "there is no RDMA device";
  }
  return job;
}

TEST(DoctorPorts, AlikeOrNone) {
  EXPECT_THAT(check_ports(hosts_with({}, {})), ElementsAre());
  EXPECT_THAT(check_ports(hosts_with({kRoce}, {kRoce})),
              ElementsAre(shared(ok, "alike on 2 hosts: RoCE v2 over IPv4, 1 port, 25 Gbit/s, MTU 4096")));
  Job one = hosts_with({kRoce}, {kRoce});
  one.ranks.resize(2);
  EXPECT_THAT(check_ports(one), ElementsAre()) << "nothing to compare on one host";
}

TEST(DoctorPorts, OneHostHasNone) {
  const auto found = check_ports(hosts_with({kRoce}, {}));
  EXPECT_THAT(found,
              ElementsAre(shared(warning, "RDMA ports would be used on h1, and none on others: there is no RDMA device on h2")));
}

TEST(DoctorPorts, NoKindInCommon) {
  const auto found = check_ports(hosts_with({kRoce}, {changed(kRoce, Fabric::infiniband)}));
  EXPECT_THAT(found,
              ElementsAre(shared(warning, "no ports that can be joined: InfiniBand, subnet :: on h2, RoCE v2 over IPv4 on h1"),
                          shared(warning, "ports differ in kind: InfiniBand on h2; RoCE v2 over IPv4 on h1")));
  EXPECT_THAT(found.front().finding.costs, HasSubstr("TCP"));
  EXPECT_THAT(
      check_ports(hosts_with({kRoce, changed(kRoce, Fabric::infiniband)}, {kRoce})),
      ElementsAre(shared(warning, "ports differ in kind: RoCE v2 over IPv4 on h2; RoCE v2 over IPv4 and InfiniBand on h1"),
                  shared(warning, "ports differ in number: 1 port on h2; 2 ports on h1")));
}

TEST(DoctorPorts, SpeedsAndPackets) {
  PortFacts other = kRoce;
  other.summary.megabits = 100000;
  other.mtu = 1024;
  EXPECT_THAT(check_ports(hosts_with({kRoce}, {other})),
              ElementsAre(shared(warning, "ports differ in speed: 100 Gbit/s on h2; 25 Gbit/s on h1"),
                          shared(warning, "ports differ in largest packets: MTU 1024 on h2; MTU 4096 on h1")));
}

TEST(DoctorPorts, WhatJoinsRanks) {
  EXPECT_THAT(check_transports_between(hosts_with({}, {})),
              ElementsAre(shared(ok, "within a host: shm, else tcp over eth0"), shared(ok, "between hosts: tcp over eth0")));
  EXPECT_THAT(
      check_transports_between(hosts_with({kRoce}, {kRoce})),
      ElementsAre(shared(ok, "within a host: shm, else verbs over port 1 of mlx5_0 (RoCE v2 over IPv4, 25 Gbit/s), else tcp"),
                  shared(ok, "between hosts: verbs over port 1 of mlx5_0 (RoCE v2 over IPv4, 25 Gbit/s), else tcp over eth0")));
}

TEST(DoctorPorts, EndsThatDiffer) {
  PortFacts other = kRoce;
  other.name = "port 2 of bnxt0";
  other.summary.megabits = 10000;
  Job job = hosts_with({kRoce}, {changed(other, Fabric::infiniband), other});
  for (const std::size_t r : {2u, 3u}) job.ranks[r].interface = "ens1";
  const auto all = check_transports_between(job);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_THAT(all[2], shared(ok,
                             "between hosts: verbs over port 1 of mlx5_0 to port 2 of bnxt0 (RoCE v2 over IPv4, 10 Gbit/s), else "
                             "tcp over eth0 to ens1"));
  EXPECT_THAT(all[0], shared(ok, "within a host, ranks 0-1: shm"));
  EXPECT_THAT(all[1], shared(ok, "within a host, ranks 2-3: shm"));
}

TEST(DoctorPorts, RanksOfOneHostThatDiffer) {
  Job job = hosts_with({kRoce}, {kRoce});
  job.ranks[1].ports.clear();
  for (Facts& f : job.ranks) f.transports = {"verbs", "tcp"};
  job.ranks.resize(2);
  EXPECT_THAT(check_transports_between(job), ElementsAre(shared(ok, "within a host: tcp over eth0")));
}

TEST(DoctorPorts, NothingJoinsThem) {
  Job job = hosts_with({kRoce}, {kRoce});
  for (const std::size_t r : {0u, 1u}) job.ranks[r].transports = {"shm", "verbs"};
  for (const std::size_t r : {2u, 3u}) job.ranks[r].transports = {"shm", "tcp"};
  const auto all = check_transports_between(job);
  EXPECT_THAT(all.back(), shared(problem, "between hosts: no transport that both sides allow and have"));
  EXPECT_FALSE(all.back().finding.mend.empty());
}

TEST(DoctorPorts, OfOneKernelButTwoNetworks) {
  Job job = hosts_with({}, {});
  for (Facts& f : job.ranks) f.kernel = "k1";
  EXPECT_EQ(ways_between(job.ranks[0], job.ranks[2]), "shm, else tcp over eth0");
  job.ranks[2].network = "net:[2]";
  EXPECT_EQ(ways_between(job.ranks[0], job.ranks[2]), "tcp over eth0");
  EXPECT_EQ(ways_between(job.ranks[0], Facts()), "");
}

}  // namespace
}  // namespace tutti::doctor
