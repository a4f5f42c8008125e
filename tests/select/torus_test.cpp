// Where ranks are the nodes of a torus: long ways cost more, and algorithms that shorten them are chosen there only.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "machines.h"

namespace tutti {
namespace {

using testing::HasSubstr;

JobMachine torus(std::vector<int> dimensions) {
  Rank hosts = 1;
  for (const int size : dimensions) hosts *= size;
  JobMachine machine = job("node:" + std::to_string(hosts) + " core:1 net=12.5GB/s net_latency=2us", hosts);
  lay_on_torus(machine, dimensions);
  return machine;
}

std::string_view chosen(Collective collective, std::uint64_t bytes, const JobMachine& machine) {
  return choose({.collective = collective, .block_bytes = bytes, .element_bytes = 4}, machine).winner().algorithm->name;
}

TEST(Torus, IsThereWithOneRankOnEachOfItsHosts) {
  EXPECT_EQ(torus({4, 4, 4}).torus, (std::vector<Rank>{4, 4, 4}));
  JobMachine machine = job("node:4 core:2", 8);
  lay_on_torus(machine, std::vector<int>{2, 2});
  EXPECT_TRUE(machine.torus.empty()) << "two ranks per host";
  machine = job("node:8 core:2", 6);
  lay_on_torus(machine, std::vector<int>{2, 4});
  EXPECT_TRUE(machine.torus.empty()) << "fewer ranks than hosts";
}

TEST(Torus, IsThereForADescribedOne) {
  const Topology topology = *load_topology("torus:4x4x4 core:8");
  EXPECT_EQ(describe_job(topology, 64, Seats::hosts)->torus, (std::vector<Rank>{4, 4, 4}));
  EXPECT_TRUE(describe_job(topology, 64)->torus.empty()) << "on the cores of 8 hosts";
  EXPECT_FALSE(describe_job(topology, 65, Seats::hosts)) << "one per host";
}

TEST(Torus, SwingServesAllReduce) {
  for (const auto& dimensions : {std::vector<int>{8, 8}, {4, 4, 4}, {16, 8}}) {
    const JobMachine machine = torus(dimensions);
    for (const std::uint64_t bytes : {1u << 20, 16u << 20})
      EXPECT_EQ(chosen(Collective::all_reduce, bytes, machine), "swing") << bytes;
  }
}

TEST(Torus, ARingServesALongRing) {
  EXPECT_EQ(chosen(Collective::all_reduce, 1u << 30, torus({256})), "multi_ring") << "in both directions";
  EXPECT_EQ(chosen(Collective::all_reduce, 64u << 10, torus({256})), "swing");
}

TEST(Torus, RingsTakeAllItsLinks) {
  const JobMachine machine = torus({4, 4, 4});
  EXPECT_EQ(machine.routes.rings.size(), 6U);
  EXPECT_DOUBLE_EQ(machine.ring_gbps, 6 * 12.5);
  EXPECT_EQ(chosen(Collective::all_reduce, 1u << 30, torus({16, 16})), "multi_ring");
  EXPECT_TRUE(torus({2}).routes.rings.empty()) << "one ring is what the row `ring` is";
}

TEST(Torus, WhatTravelsFarCostsMore) {
  const SelectRequest request{.collective = Collective::all_reduce, .block_bytes = 1 << 20, .element_bytes = 4};
  const JobMachine with = torus({8, 8});
  JobMachine without = with;
  without.torus.clear();
  const auto time = [&](const JobMachine& machine, std::string_view name) {
    SelectRequest forced = request;
    forced.forced = name;
    return choose(forced, machine).winner().bandwidth_us;
  };
  EXPECT_DOUBLE_EQ(time(with, "ring"), time(without, "ring"));
  EXPECT_GT(time(with, "halving_doubling/radix=2"), time(without, "halving_doubling/radix=2"));
}

TEST(Torus, TreesAreNearerOrFarther) {
  const JobMachine with = torus({64});
  JobMachine without = with;
  without.torus.clear();
  const auto time = [](const JobMachine& machine, std::string_view name) {
    return choose({.collective = Collective::broadcast, .block_bytes = 64 << 20, .forced = name}, machine).winner().bandwidth_us;
  };
  for (const std::string_view name : {"knomial/radix=2", "bine", "chain/pieces=64"})
    EXPECT_DOUBLE_EQ(time(with, name), time(without, name)) << name << ": near";
  EXPECT_GT(time(with, "circulant/pieces=64"), 3 * time(without, "circulant/pieces=64"));
}

TEST(Torus, ElsewhereNothingChangesButForWhoAsksByName) {
  JobMachine machine = torus({8, 8});
  machine.torus.clear();
  for (const Algorithm& a : algorithms()) {
    if (!a.shortens_ways) continue;
    SelectRequest request{.collective = a.collective, .block_bytes = 1 << 20, .element_bytes = 4};
    const Selection all = choose(request, machine);
    EXPECT_THAT(find(all, a.name)->refused, HasSubstr("is for tori")) << a.name;
    request.forced = a.name;
    EXPECT_EQ(choose(request, machine).winner().algorithm, &a);
  }
}

TEST(Torus, IsNamedInTheExplanation) {
  const JobMachine machine = torus({4, 4, 4});
  const SelectRequest request{.collective = Collective::all_reduce, .block_bytes = 1 << 20, .element_bytes = 4};
  EXPECT_THAT(render(choose(request, machine), request, machine), HasSubstr("a torus of 4x4x4"));
}

}  // namespace
}  // namespace tutti
