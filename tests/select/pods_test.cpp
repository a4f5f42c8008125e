// Where pods of hosts share the way to others, and that is narrow: what stays in a pod costs less.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "machines.h"

namespace tutti {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

JobMachine on_hosts(std::string_view description) {
  const Topology topology = *load_topology(description);
  auto machine = describe_job(topology, hosts(topology), Seats::hosts);
  EXPECT_TRUE(machine) << machine.error().to_string();
  return std::move(*machine);
}

Candidate priced(Collective collective, std::string_view name, std::uint64_t bytes, const JobMachine& machine) {
  return choose({.collective = collective, .block_bytes = bytes, .element_bytes = 4, .forced = name}, machine).winner();
}

std::string_view chosen(Collective collective, std::uint64_t bytes, const JobMachine& machine) {
  return choose({.collective = collective, .block_bytes = bytes, .element_bytes = 4}, machine).winner().algorithm->name;
}

TEST(PodsOfRanks, AreThoseOfTheHostsBelowASwitch) {
  EXPECT_THAT(on_hosts("fat-tree:4x16 oversubscription=4 net=12.5GB/s").pods, ElementsAre(Pods{16, 4}));
  EXPECT_THAT(on_hosts("fat-tree:4x16 net=12.5GB/s").pods, IsEmpty());
  const JobMachine cores = job("fat-tree:4x4 core:8 oversubscription=4 net=12.5GB/s", 128);
  EXPECT_THAT(cores.pods, ElementsAre(Pods{32, 1}));
  EXPECT_THAT(cores.level_names, ElementsAre(Level::host, Level::leaf));
  EXPECT_THAT(job("fat-tree:4x4 core:8 oversubscription=4", 32).pods, IsEmpty()) << "all in one";
  EXPECT_THAT(describe_job(*load_topology("fat-tree:2x2 dgx-h100 oversubscription=2"), 32, Seats::gpus)->pods,
              ElementsAre(Pods{16, 8}));
}

TEST(PodsOfRanks, NarrowUplinksCostWhoCrossesThem) {
  const JobMachine full = on_hosts("fat-tree:4x16 net=12.5GB/s"),
                   tapered = on_hosts("fat-tree:4x16 oversubscription=4 net=12.5GB/s");
  constexpr std::uint64_t kBytes = 16u << 20;
  for (const auto& [collective, name] : {std::pair{Collective::all_reduce, "halving_doubling/radix=2"},
                                         {Collective::all_to_all, "pairwise"},
                                         {Collective::all_gather, "recursive_doubling/radix=2"}}) {
    const Candidate without = priced(collective, name, kBytes, full), with = priced(collective, name, kBytes, tapered);
    EXPECT_GT(with.total_us, 1.5 * without.total_us) << name;
    EXPECT_EQ(with.bounding_pod, 16) << name;
    EXPECT_EQ(without.bounding_pod, 0) << name;
    EXPECT_DOUBLE_EQ(with.bandwidth_us, without.bandwidth_us) << "that is of a rank alone";
  }
  // All but the last rank of a pod send within it.
  const Candidate ring = priced(Collective::all_reduce, "ring", kBytes, tapered);
  EXPECT_DOUBLE_EQ(ring.total_us, priced(Collective::all_reduce, "ring", kBytes, full).total_us);
  EXPECT_EQ(ring.bounding_pod, 0);
}

TEST(PodsOfRanks, AllToAllTakesWhatItsUplinksTake) {
  const JobMachine machine = on_hosts("fat-tree:4x16 oversubscription=4 net=12.5GB/s");
  const double bytes = 16.0 * 48 * (1 << 20);  // from each of 16 ranks to each of 48 others
  const Candidate c = priced(Collective::all_to_all, "direct", 1 << 20, machine);
  EXPECT_NEAR(c.bandwidth_us + c.contention_us, bytes / (4 * 12.5e3), 1);
}

// D. De Sensi et al., "Bine Trees", SC 2025: less crosses the borders of groups than with trees of powers of two, up to a third.
TEST(PodsOfRanks, BineCrossesLess) {
  const JobMachine machine = on_hosts("fat-tree:16x16 oversubscription=8 net=12.5GB/s");
  struct Rivals {
    Collective collective;
    std::string_view other;
  };
  for (const auto& [collective, other] : {Rivals{Collective::all_reduce, "halving_doubling/radix=2"},
                                          {Collective::reduce_scatter, "recursive_halving/radix=2"},
                                          {Collective::all_gather, "recursive_doubling/radix=2"},
                                          {Collective::broadcast, "knomial/radix=2"},
                                          {Collective::reduce, "knomial/radix=2/pieces=1"}}) {
    const Candidate bine = priced(collective, "bine", 4u << 20, machine), binomial = priced(collective, other, 4u << 20, machine);
    EXPECT_LE(bine.total_us, binomial.total_us) << name(collective);
    EXPECT_GT(bine.total_us, 0.6 * binomial.total_us) << name(collective) << ": no more than a third";
    EXPECT_TRUE(bine.refused.empty());
  }
  EXPECT_LT(priced(Collective::all_gather, "bine", 4u << 20, machine).total_us,
            0.99 * priced(Collective::all_gather, "recursive_doubling/radix=2", 4u << 20, machine).total_us);
}

TEST(PodsOfRanks, WhatKnowsThePodsWins) {
  const JobMachine full = on_hosts("fat-tree:16x16 net=12.5GB/s net_latency=2us"),
                   tapered = on_hosts("fat-tree:16x16 oversubscription=16 net=12.5GB/s net_latency=2us");
  EXPECT_THAT(chosen(Collective::all_gather, 64u << 10, tapered), Not(chosen(Collective::all_gather, 64u << 10, full)));
  for (const Collective collective : {Collective::all_reduce, Collective::all_gather, Collective::reduce_scatter}) {
    const std::string_view winner = chosen(collective, collective == Collective::all_reduce ? 4u << 20 : 16u << 10, tapered);
    EXPECT_TRUE(winner.starts_with("hierarchical") || winner == "bine" || winner == "ring") << name(collective) << winner;
  }
}

TEST(PodsOfRanks, AreNamedInTheExplanation) {
  const JobMachine machine = on_hosts("fat-tree:4x16 oversubscription=4 net=12.5GB/s");
  const SelectRequest request{.collective = Collective::all_to_all, .block_bytes = 1 << 20};
  const Selection selection = choose(request, machine);
  const std::string text = render(selection, request, machine);
  EXPECT_THAT(text, HasSubstr("in pods of 16 with uplinks for 4 links"));
  EXPECT_THAT(text, HasSubstr("sharing the uplinks of a pod of 16 ranks"));
  EXPECT_THAT(to_json(selection, request, machine), HasSubstr("\"bounding_pod\": 16"));
}

}  // namespace
}  // namespace tutti
