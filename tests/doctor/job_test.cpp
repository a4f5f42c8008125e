// Ranks compared, and what they send each other.
#include "doctor/job.h"

#include "jobs.h"

namespace tutti::doctor {
namespace {

using enum Severity;
using test::job_of;
using test::shared;
using test::two_hosts;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(DoctorJob, Bindings) {
  EXPECT_THAT(check_bindings(job_of({{0}, {1}}, 4)), ElementsAre(shared(ok, "2 ranks on cores of their own")));
  EXPECT_THAT(check_bindings(job_of({{0}, {0}}, 4)),
              ElementsAre(shared(problem, "ranks 0-1 share 1 core (PUs 0), while 3 cores are idle")));
  EXPECT_THAT(check_bindings(job_of({{0, 1}, {2}, {0, 1}, {0, 1}}, 4)),
              ElementsAre(shared(problem, "ranks 0,2-3 share 2 cores (PUs 0-1), while 1 core is idle")));
  EXPECT_THAT(check_bindings(job_of({{0, 1}, {0, 1}}, 2)), ElementsAre(shared(warning, "2 ranks are not bound")));
  EXPECT_THAT(check_bindings(job_of({{0, 1}, {0, 1}, {0, 1}}, 2)), ElementsAre(shared(warning, "3 ranks take turns on 2 cores")));
  EXPECT_THAT(check_bindings(job_of({{0}}, 2)), ElementsAre());
  EXPECT_THAT(check_bindings(two_hosts()), ElementsAre(shared(ok, "2 ranks"), shared(ok, "2 ranks")));
}

TEST(DoctorJob, ContainersOfOneKernelShareItsCores) {
  Job job = two_hosts();
  for (Facts& f : job.ranks) f.kernel = "k1";
  EXPECT_THAT(check_bindings(job), ElementsAre(shared(warning, "4 ranks take turns on 2 cores")));
}

TEST(DoctorJob, HostsOfOneNameAreNumbered) {
  Job job = two_hosts();
  tell_hosts_apart(job.ranks);
  EXPECT_EQ(job.ranks[3].host, "h2");
  for (Facts& f : job.ranks) f.host = "localhost";
  job.ranks[2].megabits = job.ranks[3].megabits = 10000;
  std::swap(job.ranks[1], job.ranks[2]);
  tell_hosts_apart(job.ranks);
  EXPECT_EQ(job.hosts(), (std::map<std::string, std::vector<int>>{{"localhost (1)", {0, 2}}, {"localhost (2)", {1, 3}}}));
  EXPECT_THAT(check_networks(job), ElementsAre(shared(warning, "10 Gbit/s on localhost (2); speed unknown on localhost (1)")));
  Job containers = job_of({{0}, {1}}, 2);
  tell_hosts_apart(containers.ranks);
  EXPECT_EQ(containers.hosts().size(), 1u);
  containers.ranks[1].network = "net:[2]";
  tell_hosts_apart(containers.ranks);
  EXPECT_EQ(containers.hosts().size(), 2u);
}

TEST(DoctorJob, Networks) {
  Job job = two_hosts();
  EXPECT_THAT(check_networks(job), ElementsAre(shared(ok, "speed unknown on h1, h2")));
  job.ranks[2].megabits = job.ranks[3].megabits = 10000;
  job.ranks[2].mtu = job.ranks[3].mtu = 9000;
  EXPECT_THAT(check_networks(job),
              ElementsAre(shared(warning, "10 Gbit/s on h2; speed unknown on h1"), shared(warning, "MTU 9000 on h2")));
  EXPECT_THAT(check_networks(job_of({{0}, {1}}, 2)), ElementsAre());
}

TEST(DoctorJob, Reach) {
  Job job = two_hosts();
  job.reaches = {{0, 2, "eth0", "10.0.0.2", ""}, {2, 0, "eth0", "10.0.0.1", ""}};
  EXPECT_THAT(check_reach(job), ElementsAre(shared(ok, "2 ways between 2 hosts")));
  job.reaches[0].failure = "no answer";
  ASSERT_THAT(check_reach(job), ElementsAre(shared(problem, "h1 does not reach h2 at 10.0.0.2 (eth0): no answer")));
  EXPECT_THAT(check_reach(job).front().finding.mend, HasSubstr("firewalls"));
  job.reaches.push_back({0, 2, "eth1", "10.1.0.2", ""});
  EXPECT_THAT(check_reach(job).front().finding.mend, HasSubstr("TUTTI_INTERFACE=eth1"));
  job.reaches = {{0, 2, "eth0", "10.0.0.2", ""}, {0, 2, "docker0", "172.17.0.1", "somebody else answers at this address"}};
  EXPECT_THAT(check_reach(job), ElementsAre(shared(ok, "1 way")));  // nobody would take that one
}

TEST(DoctorJob, Alike) {
  Job job = two_hosts();
  for (Facts& f : job.ranks) f.settings = {{"kernel", "6.1"}, {"clock source", "tsc"}};
  EXPECT_THAT(check_alike(job), ElementsAre(shared(ok, "2 hosts with the same")));
  job.ranks[3].settings["kernel"] = "5.10";
  job.ranks[3].settings.erase("clock source");
  EXPECT_THAT(check_alike(job),
              ElementsAre(shared(warning, "clock source: (not known) on h2; tsc on h1, h2"), shared(note, "kernel")));
}

TEST(DoctorJob, FactsAndVisitsComeBack) {
  test::Tree tree;
  tree.described("core:3 pu:2").interface("lo", "127.0.0.1").interface("eth0", "10.0.0.1").interface("eth1", "10.1.0.1");
  tree.write("proc/self/status", "Cpus_allowed_list:\t0-3\n").write("sys/class/net/eth0/speed", "25000\n");
  Facts facts = facts_of(tree.system);
  EXPECT_EQ(facts.cores.size(), 3u);
  EXPECT_EQ(facts.interface, "eth0");
  EXPECT_EQ(facts.megabits, 25000);
  EXPECT_EQ(facts.others, (std::vector<std::pair<std::string, std::string>>{{"eth1", "10.1.0.1"}}));
  facts.transports = {"shm", "verbs"};
  facts.ports = {
      {"port 1 of mlx5_0", {.fabric = verbs::Fabric::roce_ipv4, .megabits = 100000, .gid = {10, 1}}, 4096},
      {"port 2 of ib0", {.fabric = verbs::Fabric::infiniband, .near = 0, .network_bits = 64, .megabits = 200000}, 2048}};
  facts.no_ports = "";
  facts.port = 4711;
  facts.token = "t";
  const auto back = facts_from_json(to_json(facts));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, facts);
  const Visit visit{examine(tree.system), {{0, 1, "eth0", "10.0.0.2", "no answer"}}};
  const auto again = visit_from_json(to_json(visit));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->findings, visit.findings);
  EXPECT_EQ(again->reaches, visit.reaches);
}

TEST(DoctorJob, WhatAPeerSendsMayBeAnything) {
  const std::string good = to_json(job_of({{0}}, 1).ranks.front());
  ASSERT_TRUE(facts_from_json(good));
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(facts_from_json(good.substr(0, size))) << size;
  for (const char* text : {"{}", "[]", "null", "{\"host\":3}", "\xff\xfe"}) {
    EXPECT_FALSE(facts_from_json(text));
    EXPECT_FALSE(visit_from_json(text));
  }
  Facts facts = job_of({{0}}, 1).ranks.front();
  facts.ports = {{"port 1 of mlx5_0", {.fabric = verbs::Fabric::none}, 4096}};
  EXPECT_FALSE(facts_from_json(to_json(facts))) << "a port of no kind";
  EXPECT_FALSE(visit_from_json(R"({"findings":[{"severity":"dire"}],"reaches":[]})"));
  EXPECT_FALSE(visit_from_json(R"({"findings":[],"reaches":[[]]})"));
}

TEST(DoctorFindings, EqualOnesOfAHostAreOneAndTheGravestComesFirst) {
  const Finding fine{ok, "swap", "none", "/proc/swaps", "", ""}, bad{problem, "quota", "too little", "cpu.max", "much", "more"};
  const auto all = merged({{fine, "h1", {0}}, {bad, "h2", {2}}, {fine, "h2", {3}}, {fine, "h1", {1}}});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].finding, bad);
  EXPECT_EQ(all[1].ranks, (std::vector<int>{0, 1}));
  const std::string text = render(all, true);
  EXPECT_THAT(text, HasSubstr("problem  quota          rank 2 on h2: too little\n"));
  EXPECT_THAT(text, HasSubstr("mend   more\n"));
  EXPECT_THAT(text, HasSubstr("ranks 0-1 on h1: none\n"));
  EXPECT_THAT(text, HasSubstr("1 problem, 0 warnings, 0 notes, 2 in order\n"));
  EXPECT_THAT(render(all, false), testing::Not(HasSubstr("h2")));
  EXPECT_THAT(to_json(all), HasSubstr("\"problems\":1"));
}

TEST(DoctorFindings, BytesThatAreNoTextDoNotStopTheOutput) {
  const std::vector<Shared> odd = {{{note, "interfaces", "\xff\xfe", "", "", ""}, "h", {}}};
  EXPECT_THAT(to_json(odd), HasSubstr("tutti_doctor"));
}

}  // namespace
}  // namespace tutti::doctor
