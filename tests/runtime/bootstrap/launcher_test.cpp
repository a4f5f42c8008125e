#include "bootstrap/launcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "bootstrap/node_list.h"

namespace tutti {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

// TUTTI_ variables go where the program's own configuration is, all others are looked up.
Result<Launch> detect(const Variables& variables) {
  Config config = Config::from_environment().value_or_throw();
  for (const auto& row : config_table())
    if (const auto it = variables.find(std::string(row.name)); it != variables.end())
      if (auto s = config.set(row.var, it->second); !s) return std::move(s.error());
  return detect_launcher(config, [&](const char* name) -> std::optional<std::string> {
    const auto it = variables.find(name);
    return it == variables.end() ? std::nullopt : std::optional(it->second);
  });
}

struct Good {
  const char* title;
  Variables variables;
  LauncherKind kind;
  Meeting meeting;
  Rank rank;
  Rank size;
  std::string rendezvous;  // "" where there is none
};

class GoodLaunch : public testing::TestWithParam<Good> {};

TEST_P(GoodLaunch, IsUnderstood) {
  const Good& expected = GetParam();
  auto launch = detect(expected.variables);
  ASSERT_TRUE(launch) << launch.error().to_string();
  EXPECT_EQ(launch->kind, expected.kind);
  EXPECT_EQ(launch->meeting, expected.meeting);
  EXPECT_EQ(launch->rank, expected.rank);
  EXPECT_EQ(launch->size, expected.size);
  EXPECT_EQ(launch->rendezvous.host.empty() ? "" : to_string(launch->rendezvous), expected.rendezvous);
}

const Variables kTorchrun{{"RANK", "3"},        {"WORLD_SIZE", "8"},     {"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "2"},
                          {"MASTER_ADDR", "h"}, {"MASTER_PORT", "29500"}};
const Variables kOpenMpi{{"OMPI_COMM_WORLD_RANK", "1"},       {"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}, {"PMIX_NAMESPACE", "17"},      {"PMIX_RANK", "1"}};
const Variables kHydra{{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}, {"PMI_FD", "6"}, {"MPI_LOCALRANKID", "0"}, {"MPI_LOCALNRANKS", "2"}};
const Variables kSlurmPmi2{{"PMI_RANK", "1"},      {"PMI_SIZE", "2"},      {"PMI_FD", "12"},
                           {"PMI_JOBID", "77.0"},  {"SLURM_PROCID", "1"},  {"SLURM_NTASKS", "2"},
                           {"SLURM_LOCALID", "1"}, {"SLURM_JOB_ID", "77"}, {"SLURM_STEP_ID", "0"}};
const Variables kSlurm{{"SLURM_PROCID", "2"},  {"SLURM_NTASKS", "4"},  {"SLURM_LOCALID", "0"},
                       {"SLURM_JOB_ID", "77"}, {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NODELIST", "n[03-04],m1"}};

Variables with(Variables base, const Variables& more) {
  for (const auto& [name, value] : more) base[name] = value;
  return base;
}
Variables without(Variables base, const std::string& name) {
  base.erase(name);
  return base;
}

INSTANTIATE_TEST_SUITE_P(
    Launchers, GoodLaunch,
    testing::Values(
        Good{"Nothing", {}, LauncherKind::none, Meeting::alone, 0, 1, ""},
        Good{"Plain",
             {{"TUTTI_RANK", "1"}, {"TUTTI_SIZE", "2"}, {"TUTTI_RENDEZVOUS", "[::1]:99"}},
             LauncherKind::variables,
             Meeting::rendezvous,
             1,
             2,
             "[::1]:99"},
        Good{"PlainAlone", {{"TUTTI_RANK", "0"}, {"TUTTI_SIZE", "1"}}, LauncherKind::variables, Meeting::alone, 0, 1, ""},
        Good{"PlainBeforeTorchrun", with(kTorchrun, {{"TUTTI_RANK", "0"}, {"TUTTI_SIZE", "2"}, {"TUTTI_RENDEZVOUS", "h:1"}}),
             LauncherKind::variables, Meeting::rendezvous, 0, 2, "h:1"},
        Good{"Torchrun", kTorchrun, LauncherKind::torchrun, Meeting::rendezvous, 3, 8, "h:29501"},
        Good{"TorchrunWithRendezvous", with(kTorchrun, {{"TUTTI_RENDEZVOUS", "x:5"}}), LauncherKind::torchrun,
             Meeting::rendezvous, 3, 8, "x:5"},
        Good{"TorchrunInsideSlurm", with(kSlurm, kTorchrun), LauncherKind::torchrun, Meeting::rendezvous, 3, 8, "h:29501"},
        Good{"OpenMpi", kOpenMpi, LauncherKind::open_mpi, Meeting::pmix, 1, 4, ""},
        Good{"OpenMpiInsideSlurm", with(kSlurm, kOpenMpi), LauncherKind::open_mpi, Meeting::pmix, 1, 4, ""},
        Good{"OpenMpiWithRendezvous", with(without(kOpenMpi, "PMIX_NAMESPACE"), {{"TUTTI_RENDEZVOUS", "x:5"}}),
             LauncherKind::open_mpi, Meeting::rendezvous, 1, 4, "x:5"},
        Good{"Hydra", kHydra, LauncherKind::hydra, Meeting::pmi, 0, 2, ""},
        Good{"HydraByPort", {{"PMI_PORT", "h:4000"}, {"PMI_ID", "1"}}, LauncherKind::hydra, Meeting::pmi, kNoRank, 0, ""},
        Good{"HydraAlone", with(kHydra, {{"PMI_SIZE", "1"}}), LauncherKind::hydra, Meeting::alone, 0, 1, ""},
        Good{"HydraInsideSlurm", with(kSlurm, kHydra), LauncherKind::hydra, Meeting::pmi, 0, 2, ""},
        Good{"SlurmWithPmi2", kSlurmPmi2, LauncherKind::slurm, Meeting::pmi, 1, 2, ""},
        Good{"SlurmWithPmix", with(kSlurm, {{"PMIX_NAMESPACE", "s"}}), LauncherKind::slurm, Meeting::pmix, 2, 4, ""},
        Good{"SlurmStepSize", with(kSlurm, {{"PMIX_NAMESPACE", "s"}, {"SLURM_STEP_NUM_TASKS", "3"}}), LauncherKind::slurm,
             Meeting::pmix, 2, 3, ""},
        Good{"SlurmBatchScript", without(kSlurm, "SLURM_STEP_ID"), LauncherKind::none, Meeting::alone, 0, 1, ""},
        Good{"BarePmix", {{"PMIX_NAMESPACE", "p"}, {"PMIX_RANK", "0"}}, LauncherKind::pmix, Meeting::pmix, kNoRank, 0, ""},
        Good{"ALonelyRankVariable", {{"RANK", "colonel"}}, LauncherKind::none, Meeting::alone, 0, 1, ""}),
    [](const auto& row) { return row.param.title; });

TEST(Launcher, SlurmMeetsAtTheFirstHostOfTheStep) {
  const auto first = detect(kSlurm).value_or_throw();
  EXPECT_EQ(first.rendezvous.host, "n03");
  EXPECT_GE(first.rendezvous.port, 10000);
  EXPECT_LT(first.rendezvous.port, 30000);
  // Every rank computes the same port; another step of the same job another one.
  EXPECT_EQ(detect(with(kSlurm, {{"SLURM_PROCID", "3"}})).value_or_throw().rendezvous.port, first.rendezvous.port);
  EXPECT_NE(detect(with(kSlurm, {{"SLURM_STEP_ID", "1"}})).value_or_throw().rendezvous.port, first.rendezvous.port);
  const auto launch_node = with(without(kSlurm, "SLURM_STEP_NODELIST"), {{"SLURM_LAUNCH_NODE_IPADDR", "10.0.0.9"}});
  EXPECT_EQ(detect(launch_node).value_or_throw().rendezvous.host, "10.0.0.9");
}

TEST(Launcher, SlurmOnOneHostNeedsNoName) {
  const Variables one_host = with(kSlurm, {{"SLURM_STEP_NUM_NODES", "1"}, {"SLURM_STEP_NODELIST", "no-such-host"}});
  const auto launch = detect(one_host).value_or_throw();
  EXPECT_EQ(launch.rendezvous.host, "127.0.0.1");
  EXPECT_EQ(launch.local_size, launch.size);
  EXPECT_EQ(launch.rendezvous.port, detect(kSlurm).value_or_throw().rendezvous.port);
  EXPECT_EQ(detect(with(kSlurmPmi2, {{"SLURM_STEP_NUM_NODES", "1"}})).value_or_throw().local_size, 2);
  EXPECT_EQ(detect(with(kSlurmPmi2, {{"SLURM_STEP_NUM_NODES", "2"}})).value_or_throw().local_size, std::nullopt);
}

TEST(Launcher, LocalPlaceIsKept) {
  const auto launch = detect(kTorchrun).value_or_throw();
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.local_size, 2);
}

struct Bad {
  const char* title;
  Variables variables;
  std::vector<std::string> said;  // the variable, the value, what is expected
};

class BadLaunch : public testing::TestWithParam<Bad> {};

TEST_P(BadLaunch, NamesVariableAndValue) {
  auto launch = detect(GetParam().variables);
  ASSERT_FALSE(launch);
  EXPECT_EQ(launch.error().code(), Code::environment);
  for (const auto& part : GetParam().said) EXPECT_THAT(launch.error().to_string(), HasSubstr(part));
}

INSTANTIATE_TEST_SUITE_P(
    Launchers, BadLaunch,
    testing::Values(
        Bad{"RankWithoutSize", {{"TUTTI_RANK", "0"}}, {"TUTTI_SIZE is not set", "TUTTI_RANK is"}},
        Bad{"SizeWithoutRank", {{"TUTTI_SIZE", "2"}}, {"TUTTI_RANK is not set", "from 0 to 1"}},
        Bad{"NoRendezvous", {{"TUTTI_RANK", "0"}, {"TUTTI_SIZE", "2"}}, {"TUTTI_RENDEZVOUS is not set", "host:port"}},
        Bad{"RankTooLarge", {{"TUTTI_RANK", "2"}, {"TUTTI_SIZE", "2"}}, {"TUTTI_RANK=\"2\"", "from 0 to 1"}},
        Bad{"SizeZero", {{"TUTTI_RANK", "0"}, {"TUTTI_SIZE", "0"}}, {"TUTTI_SIZE=\"0\"", "from 1"}},
        Bad{"RendezvousAlone", {{"TUTTI_RENDEZVOUS", "h:1"}}, {"TUTTI_RENDEZVOUS=\"h:1\"", "TUTTI_RANK and TUTTI_SIZE"}},
        Bad{"RendezvousWithoutPort",
            {{"TUTTI_RANK", "0"}, {"TUTTI_SIZE", "2"}, {"TUTTI_RENDEZVOUS", "h"}},
            {"TUTTI_RENDEZVOUS", "\"h\"", "host:port"}},
        Bad{"RendezvousPortTooLarge",
            {{"TUTTI_RANK", "0"}, {"TUTTI_SIZE", "2"}, {"TUTTI_RENDEZVOUS", "h:65536"}},
            {"h:65536", "1 to 65535"}},
        Bad{"RendezvousBareIpv6",
            {{"TUTTI_RANK", "0"}, {"TUTTI_SIZE", "2"}, {"TUTTI_RENDEZVOUS", "::1:5"}},
            {"::1:5", "brackets"}},
        Bad{"TorchrunRankNoNumber", with(kTorchrun, {{"RANK", "3x"}}), {"RANK=\"3x\"", "from 0 to 7"}},
        Bad{"TorchrunNoSize", without(kTorchrun, "WORLD_SIZE"), {"WORLD_SIZE is not set"}},
        Bad{"TorchrunNoAddress", without(kTorchrun, "MASTER_ADDR"), {"MASTER_ADDR is not set"}},
        Bad{"TorchrunNoPort", without(kTorchrun, "MASTER_PORT"), {"MASTER_PORT is not set"}},
        Bad{"TorchrunLastPort", with(kTorchrun, {{"MASTER_PORT", "65535"}}), {"MASTER_PORT=\"65535\"", "65534"}},
        Bad{"TorchrunNoRank", without(kTorchrun, "RANK"), {"RANK is not set", "WORLD_SIZE=\"8\""}},
        Bad{"TorchrunLocalRank", with(kTorchrun, {{"LOCAL_RANK", "-1"}}), {"LOCAL_RANK=\"-1\""}},
        Bad{"OpenMpiNoSize", without(kOpenMpi, "OMPI_COMM_WORLD_SIZE"), {"OMPI_COMM_WORLD_SIZE is not set"}},
        Bad{"OpenMpiNoPmix", without(kOpenMpi, "PMIX_NAMESPACE"), {"PMIX_NAMESPACE is not set", "TUTTI_RENDEZVOUS"}},
        Bad{"HydraNoWay", without(kHydra, "PMI_FD"), {"PMI_FD", "PMI_PORT"}},
        Bad{"HydraNoSize", without(kHydra, "PMI_SIZE"), {"PMI_SIZE is not set"}},
        Bad{"HydraOnlyRank", {{"PMI_RANK", "0"}}, {"PMI_SIZE is not set", "but PMI_RANK is"}},
        Bad{"HydraOnlyFd", {{"PMI_FD", "6"}}, {"PMI_SIZE is not set", "but PMI_FD is"}},
        Bad{"HydraBadFd", with(kHydra, {{"PMI_FD", "six"}}), {"PMI_FD=\"six\""}},
        Bad{"HydraBadPort", {{"PMI_PORT", "4000"}, {"PMI_ID", "1"}}, {"PMI_PORT=4000"}},
        Bad{"HydraNoId", {{"PMI_PORT", "h:4000"}}, {"PMI_ID is not set"}},
        Bad{"SlurmNoSize", without(kSlurm, "SLURM_NTASKS"), {"SLURM_NTASKS is not set", "SLURM_STEP_ID"}},
        Bad{"SlurmBadList", with(kSlurm, {{"SLURM_STEP_NODELIST", "n[1-"}}), {"SLURM_STEP_NODELIST", "n[1-"}},
        Bad{"SlurmNoHosts", without(kSlurm, "SLURM_STEP_NODELIST"), {"SLURM_STEP_NODELIST", "SLURM_LAUNCH_NODE_IPADDR"}}),
    [](const auto& row) { return row.param.title; });

TEST(NodeList, Expands) {
  const auto expand = [](std::string_view text) { return expand_node_list(text).value_or_throw(); };
  EXPECT_THAT(expand("n1"), ElementsAre("n1"));
  EXPECT_THAT(expand("n[01-03,7],m2"), ElementsAre("n01", "n02", "n03", "n7", "m2"));
  EXPECT_THAT(expand("r[1-2]n[8-9]-ib"), ElementsAre("r1n8-ib", "r1n9-ib", "r2n8-ib", "r2n9-ib"));
  EXPECT_THAT(expand("n[098-101]"), ElementsAre("n098", "n099", "n100", "n101"));
  EXPECT_THAT(expand("a,b,c-d"), ElementsAre("a", "b", "c-d"));
}

TEST(NodeList, RefusesWhatDoesNotParse) {
  for (const char* text : {"", ",", "a,", ",a", "n[", "n[]", "n[1-]", "n[-2]", "n[3-1]", "n]", "n[1]]", "n[a-b]", "n[1,]",
                           "n[[1]]", "n[0-99999999999999999999]"}) {
    auto nodes = expand_node_list(text);
    ASSERT_FALSE(nodes) << text;
    EXPECT_EQ(nodes.error().code(), Code::environment);
    EXPECT_THAT(nodes.error().message(), HasSubstr(text));
  }
}

TEST(NodeList, RefusesToFillTheMemory) {
  for (const char* text : {"n[0-9999999]", "n[0-999]m[0-999]o[0-999]", "n[0-999999,0-999999]"})
    EXPECT_THAT(expand_node_list(text).error().message(), HasSubstr("more than"));
}

}  // namespace
}  // namespace tutti
