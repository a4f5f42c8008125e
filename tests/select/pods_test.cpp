// Where pods of hosts share the way to others, and that is narrow: what stays in a pod costs less.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "machines.h"

namespace tutti {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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
  EXPECT_THAT(cores.level_names, ElementsAre(Level::host)) << "who shares a switch only is no group";
  EXPECT_THAT(on_hosts("fat-tree:4x4 core:8").level_names, ElementsAre(Level::leaf)) << "but who else is none";
  EXPECT_THAT(job("fat-tree:4x4 core:8 oversubscription=4", 32).pods, IsEmpty()) << "all in one";
  EXPECT_THAT(describe_job(*load_topology("fat-tree:2x2 dgx-h100 oversubscription=2"), 32, Seats::gpus)->pods,
              ElementsAre(Pods{16, 8}));
}

TEST(PodsOfRanks, AreNoneOnATorus) {
  const std::vector<Pods> pods{{4, 1}};
  JobMachine torus = on_hosts("torus:4x4");
  lay_in_pods(torus, pods);
  EXPECT_THAT(torus.pods, IsEmpty()) << "LevelCost::carried is then that of the torus";
  JobMachine flat = on_hosts("node:16 core:1");
  lay_in_pods(flat, pods);
  EXPECT_EQ(flat.pods, pods);
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

// D. De Sensi et al., "Bine Trees", SC 2025: less crosses the borders of groups than in halving and doubling to powers of two, by
// up to a third.
TEST(PodsOfRanks, BineCrossesLess) {
  const JobMachine machine = on_hosts("fat-tree:8x12 oversubscription=8 net=12.5GB/s");
  for (const auto& [collective, other] : {std::pair{Collective::all_reduce, "halving_doubling/radix=2"},
                                          {Collective::all_reduce, "circulant"},
                                          {Collective::reduce_scatter, "recursive_halving/radix=2"},
                                          {Collective::reduce_scatter, "circulant"},
                                          {Collective::all_gather, "circulant"}}) {
    const Candidate bine = priced(collective, "bine", 4u << 20, machine), rival = priced(collective, other, 4u << 20, machine);
    EXPECT_EQ(bine.bounding_pod, 12) << name(collective);
    EXPECT_LT(bine.total_us, rival.total_us) << name(collective) << ' ' << other;
    EXPECT_GT(bine.total_us, 0.6 * rival.total_us) << name(collective) << ' ' << other;
  }
}

std::string_view best_of(std::string_view filter, Collective collective, std::uint64_t bytes, const JobMachine& machine) {
  return choose({.collective = collective, .block_bytes = bytes, .element_bytes = 4, .filter = filter}, machine)
      .winner()
      .algorithm->name;
}

TEST(PodsOfRanks, WhatStaysInThemWins) {
  const JobMachine full = on_hosts("fat-tree:16x16 net=12.5GB/s net_latency=2us"),
                   tapered = on_hosts("fat-tree:16x16 oversubscription=16 net=12.5GB/s net_latency=2us");
  constexpr std::string_view kHalving = "halving_doubling,circulant,hierarchical_scatter";
  EXPECT_EQ(best_of(kHalving, Collective::all_reduce, 4u << 20, tapered), "hierarchical_scatter");
  EXPECT_EQ(best_of("recursive_halving,circulant,bine", Collective::reduce_scatter, 1u << 20, tapered), "bine");
  for (const Collective collective : {Collective::all_reduce, Collective::all_gather, Collective::reduce_scatter}) {
    const std::uint64_t bytes = collective == Collective::all_reduce ? 16u << 20 : 64u << 10;
    const std::string_view before = chosen(collective, bytes, full), now = chosen(collective, bytes, tapered);
    EXPECT_LE(priced(collective, now, bytes, tapered).total_us, priced(collective, before, bytes, tapered).total_us);
  }
  EXPECT_NE(chosen(Collective::all_gather, 64u << 10, full), chosen(Collective::all_gather, 64u << 10, tapered));
  EXPECT_TRUE(choose({.collective = Collective::all_reduce, .block_bytes = 1}, full).winner().bounding_pod == 0);
  EXPECT_THAT(find(choose({.collective = Collective::all_reduce, .block_bytes = 1}, full), "bine")->refused,
              HasSubstr("tapered"));
  EXPECT_TRUE(find(choose({.collective = Collective::all_reduce, .block_bytes = 1}, tapered), "bine")->refused.empty());
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
