// What hierarchical algorithms are predicted to cost, and when they are chosen.
#include <gtest/gtest.h>

#include "machines.h"

namespace tutti {
namespace {

Selection choose(Collective collective, std::uint64_t bytes, const JobMachine& machine) {
  return tutti::choose({.collective = collective, .block_bytes = bytes}, machine);
}

TEST(Hierarchical, RailsCarryLargeMessagesBetweenHosts) {
  for (const JobMachine& machine : {cluster(), job("node:4 core:8", 32), job("node:4 core:8", 30), job("node:3 core:8", 17)}) {
    for (const Collective c : {Collective::all_reduce, Collective::broadcast}) {
      const auto chosen = choose(c, 16 << 20, machine).winner().algorithm->name;
      const bool same_bytes = c == Collective::all_reduce && chosen == "hierarchical_two_shot";  // in fewer rounds
      EXPECT_TRUE(chosen == "hierarchical_scatter" || same_bytes) << chosen << ", " << name(c) << machine.ranks;
    }
  }
}

// Along a ring of ranks that follow each other host by host one rank of each host sends to another one, while the others are at
// work inside theirs. Where ranks are dealt out, all send to another host.
TEST(Hierarchical, ARingCrossesTheNetworkOnceForEachHost) {
  JobMachine machine = job("node:4 core:8", 32);
  for (const Collective c : {Collective::reduce_scatter, Collective::all_gather})
    EXPECT_EQ(choose(c, 16 << 20, machine).winner().algorithm->name, "ring") << name(c);
  std::vector<int> dealt;
  for (int r = 0; r < 32; ++r) dealt.push_back(r % 4);
  machine.levels = {Grouping(dealt)};
  for (const Collective c : {Collective::reduce_scatter, Collective::all_gather})
    EXPECT_EQ(choose(c, 16 << 20, machine).winner().algorithm->name, "hierarchical_rails") << name(c);
}

TEST(Hierarchical, SmallBlocksOfAllToAllArePackedLargeOnesAreNot) {
  EXPECT_EQ(choose(Collective::all_to_all, 64, cluster()).winner().algorithm->name, "hierarchical");
  EXPECT_EQ(choose(Collective::all_to_all, 16 << 20, cluster()).winner().algorithm->name, "direct");
}

TEST(Hierarchical, SmallMessagesCrossTheNetworkAsRarelyAsLeadersNeed) {
  for (const Collective c : {Collective::barrier, Collective::gather, Collective::scatter, Collective::broadcast})
    EXPECT_TRUE(choose(c, c == Collective::barrier ? 0 : 64, cluster()).winner().algorithm->name.starts_with("hierarchical"))
        << name(c);
}

// While one piece is between hosts, another is inside them.
TEST(Hierarchical, PiecesOverlapBetweenHostsAndInside) {
  const JobMachine machine = job("node:4 core:8", 32);
  const std::uint64_t bytes = 64 << 20;
  const Candidate rails = *find(choose(Collective::all_reduce, bytes, machine), "hierarchical_scatter");
  const auto us = [&](double vectors, std::size_t link) { return vectors * bytes / (machine.links[link].bandwidth_gbps * 1e3); };
  const double between = us(2 * 3.0 / 4, 1), inside = us(2 * 7.0 / 8, 0);
  EXPECT_GT(rails.chunking.pieces, 1U);
  EXPECT_LT(rails.total_us, between + inside);
  EXPECT_GT(rails.total_us, between);
}

TEST(Hierarchical, PiecesOverlapNotWhereHostsShareCores) {
  JobMachine machine = job("node:4 core:8", 32);
  machine.core_sharers = 32;
  const Candidate rails = *find(choose(Collective::all_reduce, 64 << 20, machine), "hierarchical_scatter");
  EXPECT_EQ(rails.chunking.pieces, 1U);
}

// A host's share of the network is the same whichever of its ranks have more of it.
TEST(Hierarchical, AHostWithFewerRanksDoesNotMakeTheNetworkSlower) {
  const double even = find(choose(Collective::all_reduce, 64 << 20, job("node:4 core:8", 32)), "hierarchical_scatter")->total_us;
  const double odd = find(choose(Collective::all_reduce, 64 << 20, job("node:4 core:8", 30)), "hierarchical_scatter")->total_us;
  EXPECT_LT(odd, even * 1.3);
}

}  // namespace
}  // namespace tutti
