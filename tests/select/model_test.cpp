#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "machines.h"
#include "select/cost.h"

namespace tutti {
namespace {

bool is_hierarchical(const Selection& s) { return s.winner().algorithm->name.starts_with("hierarchical"); }
Selection all_reduce(std::uint64_t bytes, const JobMachine& m) {
  return choose({.collective = Collective::all_reduce, .block_bytes = bytes}, m);
}

TEST(Model, CandidatesComeFastestFirstAndAddUp) {
  const JobMachine machine = cluster();
  for (int c = 0; c < static_cast<int>(Collective::send_recv); ++c) {
    const Selection s = choose({.collective = static_cast<Collective>(c), .block_bytes = 4096}, machine);
    double before = 0;
    for (const Candidate& row : s.candidates) {
      if (!row.refused.empty()) continue;
      EXPECT_GE(row.total_us, before);
      const double sum = row.latency_us + row.bandwidth_us + row.reduction_us + row.contention_us;
      EXPECT_NEAR(row.total_us, sum, 1e-9 * sum);
      EXPECT_GT(row.rounds, 0u) << row.algorithm->name;
      before = row.total_us;
    }
  }
}

TEST(Model, ChoiceIsAFunctionOfItsArguments) {
  for (const std::uint64_t bytes : {8u, 65536u, 1u << 24}) {
    const Selection a = all_reduce(bytes, cluster()), b = all_reduce(bytes, cluster());
    ASSERT_EQ(a.candidates.size(), b.candidates.size());
    for (std::size_t i = 0; i < a.candidates.size(); ++i) {
      EXPECT_EQ(a.candidates[i].algorithm, b.candidates[i].algorithm);
      EXPECT_EQ(a.candidates[i].total_us, b.candidates[i].total_us);
      EXPECT_EQ(a.candidates[i].chunking.pieces, b.candidates[i].chunking.pieces);
    }
  }
}

TEST(Model, AReductionOfWhatArrivesCostsWhatItTakesLongerThanACopy) {
  const double bytes = 1 << 20;
  const auto reduction = [&](Rank ranks, const char* algorithm, double reduce_gbps, double copy_gbps) {
    JobMachine machine = flat(ranks);
    machine.reduce_gbps = reduce_gbps;
    machine.copy_gbps = copy_gbps;
    machine.boards = false;
    return find(all_reduce(1 << 20, machine), algorithm)->reduction_us;
  };
  EXPECT_NEAR(reduction(2, "direct", 10, 20), bytes / 20e3, 1e-6);
  EXPECT_NEAR(reduction(4, "recursive_doubling", 10, 20), 2 * bytes / 20e3, 1e-6);
  // All meet in one step, after they were copied: four are read and one is written, instead of two and one for each of three.
  EXPECT_NEAR(reduction(4, "direct", 10, 20), 3 * bytes / 10e3 * (4 + 1) / (3 * 3), 1e-6);
  EXPECT_EQ(reduction(2, "direct", 20, 10), 0);
}

// Where all cost the same, the order of the registry decides, on every rank.
TEST(Model, TiesGoToTheFirstOfTheRegistry) {
  JobMachine machine = flat(4);
  machine.step_us = 0;
  for (auto& link : machine.links) link.latency_us = 0;
  const Selection s = all_reduce(0, machine);
  EXPECT_EQ(s.winner().total_us, 0);
  EXPECT_EQ(s.winner().algorithm, find_algorithm(Collective::all_reduce, "direct"));
}

TEST(Model, SmallMessagesTakeFewRoundsLargeOnesFewBytes) {
  const JobMachine machine = flat(16);
  const Selection small = all_reduce(8, machine), large = all_reduce(64 << 20, machine);
  EXPECT_LE(small.winner().rounds, 4u) << small.winner().algorithm->name;
  const Candidate* ring = find(large, "ring");
  ASSERT_NE(ring, nullptr);
  EXPECT_LE(large.winner().bandwidth_us, ring->bandwidth_us * 1.01) << large.winner().algorithm->name;
}

TEST(Model, LevelsAreUsedAcrossHosts) {
  for (const std::uint64_t bytes : {64u, 65536u, 512u << 10, 16u << 20}) {
    EXPECT_TRUE(is_hierarchical(all_reduce(bytes, cluster())))
        << bytes << ": " << all_reduce(bytes, cluster()).winner().algorithm->name;
    const Selection b = choose({.collective = Collective::broadcast, .block_bytes = bytes}, cluster());
    EXPECT_TRUE(is_hierarchical(b)) << bytes << ": " << b.winner().algorithm->name;
  }
}

// Ranks of one host that send at once share its network: rails carry no more than leaders would.
TEST(Model, RailsShareTheNetworkOfTheirHost) {
  const Selection s = all_reduce(16 << 20, cluster());
  const Candidate* rails = find(s, "hierarchical_scatter");
  ASSERT_NE(rails, nullptr);
  const double network_us = 2 * 0.75 * (16 << 20) / (cluster().links.back().bandwidth_gbps * 1e3);  // 2(H-1)/H vectors, 4 hosts
  EXPECT_GE(rails->total_us, network_us);
}

// All that RDMA can use carry one pair's messages, and no more when all ranks of a host send.
TEST(Model, RanksOfAHostShareTheRailsThatOneCouldFill) {
  const JobMachine one = job("node:4 core:8 nic:1 net=25GB/s net_latency=2us", 32),
                   four = job("node:4 core:8 nic:4 net=25GB/s net_latency=2us", 32);
  EXPECT_DOUBLE_EQ(four.links.back().bandwidth_gbps, 4 * one.links.back().bandwidth_gbps);
  for (const char* name : {"pairwise", "direct"}) {
    const SelectRequest request{.collective = Collective::all_to_all, .block_bytes = 1 << 20, .forced = name};
    const Candidate slow = choose(request, one).winner(), fast = choose(request, four).winner();
    EXPECT_DOUBLE_EQ(slow.bandwidth_us + slow.contention_us, 4 * (fast.bandwidth_us + fast.contention_us)) << name;
    EXPECT_NEAR(fast.bandwidth_us + fast.contention_us, 8 * 24 * (1 << 20) / (4 * 25e3), 1e-6) << name << ": what leaves a host";
  }
}

// A k-ary tree's nodes send to k others on every level, a k-nomial one's root early and those behind it less and less.
TEST(Model, EveryLevelOfAKaryTreePaysForAllItsMessages) {
  const Selection s = choose({.collective = Collective::broadcast, .block_bytes = 8}, job("node:64 core:1", 64));
  EXPECT_EQ(s.winner().algorithm->name, "knomial");
  const Candidate *kary = find(s, "kary_tree"), *circulant = find(s, "circulant");
  ASSERT_TRUE(kary != nullptr && circulant != nullptr);
  EXPECT_GT(kary->total_us, s.winner().total_us);
  EXPECT_LT(kary->total_us, circulant->total_us) << "6 rounds, for one piece";
}

// Pieces that are all sent once beat trees, whose inner nodes send them more often, and a chain, which is long.
TEST(Model, CirculantServesLargeVectorsBetweenHosts) {
  for (const Collective collective : {Collective::broadcast, Collective::reduce}) {
    const Selection s = choose({.collective = collective, .block_bytes = 16 << 20}, job("node:64 core:1", 64));
    EXPECT_EQ(s.winner().algorithm->name, "circulant");
    EXPECT_GT(s.winner().chunking.pieces, 8U);
  }
}

// A root with p-1 messages pays for each of them, in either direction.
TEST(Model, RootsPayPerMessage) {
  const JobMachine machine = job("node:64 core:1", 64);
  for (const Collective c : {Collective::broadcast, Collective::gather, Collective::scatter}) {
    const Selection s = choose({.collective = c, .block_bytes = 8}, machine);
    const Candidate* direct = find(s, "direct");
    ASSERT_NE(direct, nullptr) << name(c);
    EXPECT_EQ(direct->rounds, 1u);
    EXPECT_GT(direct->latency_us, machine.links.back().latency_us * 4) << name(c);
    EXPECT_NE(s.winner().algorithm->name, "direct") << name(c);
  }
}

TEST(Model, AGathersRootTakesInAllBlocks) {
  const JobMachine machine = job("node:8 core:1", 8);
  const Selection s = choose({.collective = Collective::gather, .block_bytes = 1 << 20}, machine);
  for (const Candidate& c : s.candidates) {
    if (!c.refused.empty()) continue;  // has no price
    EXPECT_GE(c.bandwidth_us, 7 * (1 << 20) / (machine.links.back().bandwidth_gbps * 1e3) * 0.999) << c.algorithm->name;
  }
}

TEST(Model, CrowdedCoresPreferFewRounds) {
  const Selection roomy = all_reduce(64 << 10, flat(16));
  const JobMachine crowded = job("core:2", 16);
  ASSERT_TRUE(crowded.oversubscribed());
  const Selection s = all_reduce(64 << 10, crowded);
  EXPECT_LE(s.winner().rounds, roomy.winner().rounds);
  EXPECT_LE(s.winner().rounds, 3u) << s.winner().algorithm->name;
  EXPECT_GT(s.winner().total_us, roomy.winner().total_us);
}

// A rank that has the core for a moment pays for each message; so few rounds are not all.
TEST(Model, RanksThatShareCoresSendFewMessages) {
  JobMachine m = flat(16);
  m.core_sharers = 16;
  m.cores_per_host = 2;
  m.links.back().latency_us = 1.2;
  m.boards = false;
  ASSERT_TRUE(m.oversubscribed());
  const Selection small = all_reduce(8, m), larger = all_reduce(16 << 10, m);
  EXPECT_EQ(small.winner().algorithm->name, "recursive_doubling");
  EXPECT_EQ(larger.winner().algorithm->name, "halving_doubling");
  for (const Candidate& winner : {small.winner(), larger.winner()}) {
    EXPECT_GT(winner.chunking.radix, 2U) << "rounds cost a turn of all each";
    EXPECT_LT(winner.chunking.radix, 16U) << "which would be everything to everybody";
  }
}

// Of 128 ranks in rounds of 64 and of 2, each has 64 messages to send, though those of the second round are by far the larger
// ones.
TEST(Model, ALargeRadixCostsAllOfItsMessages) {
  const JobMachine m = job("node:16 core:8", 128);
  for (const Collective c : {Collective::all_reduce, Collective::all_gather, Collective::reduce_scatter})
    EXPECT_LE(choose({.collective = c, .block_bytes = c == Collective::all_reduce ? 1024U : 8U}, m).winner().chunking.radix, 8U)
        << name(c);
}

// What is published is written once, however many read it, and its readers pay for a look each instead of a message.
TEST(Model, PublishingCostsOneWriteAndALookForEachReader) {
  JobMachine boards = job("core:2", 16), lanes = boards;
  ASSERT_TRUE(boards.boards);
  lanes.boards = false;
  for (const auto* algorithm : {"direct", "two_shot"})
    for (const std::uint64_t bytes : {8ULL, 4096ULL, 1ULL << 20}) {
      const Candidate published = *find(all_reduce(bytes, boards), algorithm), sent = *find(all_reduce(bytes, lanes), algorithm);
      EXPECT_TRUE(published.published);
      EXPECT_FALSE(sent.published);
      EXPECT_LT(published.total_us, sent.total_us) << algorithm << " " << bytes;
      EXPECT_EQ(published.chunking.pieces, 1U) << "a board cuts by itself";
    }
  // A copy onto the board and 15 from boards, each half of a message's way.
  const std::uint64_t bytes = 1 << 20;
  const Candidate gathered = *find(choose({.collective = Collective::all_gather, .block_bytes = bytes}, boards), "direct");
  const double copies_us = 16.0 / 2 * bytes / (boards.links.back().bandwidth_gbps * 1e3);
  EXPECT_NEAR(gathered.bandwidth_us, copies_us, 1e-6);
  EXPECT_GE(gathered.contention_us, 7 * copies_us) << "8 ranks take turns on each core";
}

// Whoever has published for the root is done, and leaves it the cores.
TEST(Model, ARootCombinesAlone) {
  const JobMachine crowded = job("core:2", 16);
  const auto reduce = [&](std::uint64_t bytes) {
    return choose({.collective = Collective::reduce, .block_bytes = bytes}, crowded);
  };
  EXPECT_EQ(reduce(2048).winner().algorithm->name, "direct");
  EXPECT_LT(find(reduce(4 << 20), "two_shot")->total_us, find(reduce(4 << 20), "direct")->total_us);
  const auto bytes_us = [](const Selection& some, const Selection& none) {
    return find(some, "direct")->total_us - find(none, "direct")->total_us;
  };
  EXPECT_LT(bytes_us(reduce(2048), reduce(0)), bytes_us(all_reduce(2048, crowded), all_reduce(0, crowded)) / 4);
}

// Where all ranks work at once each has its share of a core; where they wait for each other who works has more.
TEST(Model, RanksThatWorkOneAfterAnotherHaveMoreOfTheCores) {
  JobMachine crowded = job("core:2", 16), roomy = crowded;
  crowded.boards = roomy.boards = false;
  roomy.cores_per_host = 16;
  const auto slower = [&](Collective collective, std::string_view name) {
    const auto bytes_us = [&](const JobMachine& m) {
      const auto at = [&](std::uint64_t bytes) {
        return choose({.collective = collective, .block_bytes = bytes, .forced = name}, m).winner();
      };
      return at(16 << 20).total_us - at(1 << 20).total_us;
    };
    return bytes_us(crowded) / bytes_us(roomy);
  };
  const double speed = std::max(crowded.links.back().bandwidth_gbps, crowded.copy_gbps / 2) / crowded.links.back().bandwidth_gbps;
  EXPECT_NEAR(slower(Collective::all_gather, "ring/pieces=1") * speed, 8, 0.1);
  EXPECT_NEAR(slower(Collective::broadcast, "chain/pieces=1") * speed, 1, 0.1);
}

// Hosts whose network is the cores they share: a round costs the more, the more ranks take part in it.
TEST(Model, MessagesBetweenHostsOnSharedCoresAreWorkOfTheseCores) {
  JobMachine apart = job("node:2 core:2", 4), shared = apart;
  shared.core_sharers = 4;
  const auto slower = [&](std::string_view name) {
    const auto us = [&](const JobMachine& m) {
      return choose({.collective = Collective::all_to_all, .block_bytes = 8, .forced = name}, m).winner().total_us;
    };
    return us(shared) / us(apart);
  };
  EXPECT_GT(slower("bruck/radix=2"), 1.8) << "all ranks talk to the other host";
  EXPECT_LT(slower("hierarchical"), 1.8) << "one rank does";
}

// Messages use the same cells again; what each rank has for each other one fills boards.
TEST(Model, RanksOnSharedCoresSendWhatIsForOneAlone) {
  const JobMachine crowded = job("core:2", 8);
  const auto large = [&](Collective collective, const JobMachine& m) {
    return choose({.collective = collective, .block_bytes = 256 << 10}, m).winner().published;
  };
  EXPECT_FALSE(large(Collective::all_to_all, crowded));
  EXPECT_TRUE(large(Collective::all_gather, crowded));
}

TEST(Model, WhetherToPublishIsAChoiceThatCanBeForced) {
  const JobMachine m = job("core:16", 16);
  const auto forced = [&](const char* name, const JobMachine& machine = job("core:16", 16)) {
    return select({.collective = Collective::all_gather, .block_bytes = 1000, .forced = name, .forced_by = "the test"}, machine);
  };
  EXPECT_EQ(forced_name(forced("direct/published")->winner()), "direct/published");
  EXPECT_EQ(forced_name(forced("direct/sent")->winner()), "direct/sent");
  EXPECT_EQ(forced_name(forced("ring/sent")->winner()), "ring/pieces=1");
  EXPECT_THAT(forced("ring/published").error().message(), testing::HasSubstr("does not publish"));
  EXPECT_THAT(forced("direct/published", flat(2)).error().message(), testing::HasSubstr("cannot publish here"));
  const auto ways = all_variants({.collective = Collective::all_gather, .block_bytes = 1000, .filter = "direct"}, m);
  EXPECT_EQ(ways.size(), 2U);
}

TEST(Model, WhatOthersCannotFollowIsSent) {
  const JobMachine m = job("core:16", 16);
  const auto published = [&](SelectRequest request) {
    request.block_bytes = 1000;
    return find(choose(request, m), "direct")->published;
  };
  EXPECT_TRUE(published({.collective = Collective::all_to_all}));
  EXPECT_FALSE(published({.collective = Collective::all_to_all, .equal_blocks = false}))
      << "only two ranks know what a block has";
  EXPECT_TRUE(published({.collective = Collective::all_gather, .equal_blocks = false}));
  EXPECT_FALSE(published({.collective = Collective::all_reduce, .element_bytes = 65})) << "pieces hold whole elements";
  EXPECT_TRUE(published({.collective = Collective::all_gather, .element_bytes = 65}));
  EXPECT_FALSE(flat(2).boards);
  EXPECT_FALSE(job("node:2 core:8", 16).boards);
}

// Hosts that share cores (containers): all of a message's way is these cores' work, and as their share of the cores is what ranks
// have of the network, it is counted once.
TEST(Model, WhereHostsShareCoresTheseAreTheNetwork) {
  const JobMachine apart = job("node:2 core:2", 4);
  JobMachine together = apart;
  together.core_sharers = 4;
  ASSERT_TRUE(together.oversubscribed());
  const double latency_us = apart.links.back().latency_us;
  const Candidate messages = *find(all_reduce(8, together), "direct"), cheap = *find(all_reduce(8, apart), "direct");
  EXPECT_GE(messages.latency_us + messages.contention_us, 3 * latency_us);  // each rank sends to three others
  EXPECT_LT(cheap.latency_us, 2 * latency_us);
  EXPECT_DOUBLE_EQ(find(all_reduce(1 << 20, together), "ring")->bandwidth_us,
                   find(all_reduce(1 << 20, apart), "ring")->bandwidth_us);
}

TEST(Model, OneRankPaysNothing) {
  for (int c = 0; c < static_cast<int>(Collective::send_recv); ++c) {
    const Selection s = choose({.collective = static_cast<Collective>(c), .block_bytes = 1 << 20}, flat(1));
    EXPECT_EQ(s.winner().total_us, 0) << name(static_cast<Collective>(c));
    EXPECT_EQ(s.winner().rounds, 0u);
  }
}

TEST(Model, AnyNumberOfRanksHasAFinitePrice) {
  for (const Rank ranks : {2, 3, 17, 64, 100, 511, 1024}) {
    const JobMachine machine = job("node:32 numa:2 core:16", ranks);
    for (int c = 0; c < static_cast<int>(Collective::send_recv); ++c)
      for (const std::uint64_t bytes : {0ull, 1ull, 1ull << 20, 1ull << 40}) {
        const Selection s = choose({.collective = static_cast<Collective>(c), .block_bytes = bytes}, machine);
        EXPECT_TRUE(s.winner().total_us > 0 && s.winner().total_us < 1e15)
            << name(static_cast<Collective>(c)) << " " << ranks << " " << bytes;
      }
  }
}

TEST(Model, MorePiecesOnlyForAlgorithmsThatPipelineAndLargeMessages) {
  for (const std::uint64_t bytes : {8u, 16u << 10, 64u << 20})
    for (const Candidate& c : all_reduce(bytes, cluster()).candidates) {
      if (!c.refused.empty() || c.chunking.pieces == 1) continue;
      EXPECT_TRUE(c.algorithm->pipelines) << c.algorithm->name;
      EXPECT_GE(bytes / c.chunking.pieces, 16u << 10) << c.algorithm->name;
    }
}

TEST(MachineHash, EqualForEqualAndChangesWithEachField) {
  const std::uint64_t plain = hash(cluster());
  EXPECT_EQ(hash(cluster()), plain);
  const std::vector<std::pair<const char*, std::function<void(JobMachine&)>>> changes{
      {"ranks", [](JobMachine& m) { m.levels.clear(), ++m.ranks; }},
      {"reduce_gbps", [](JobMachine& m) { m.reduce_gbps += 1; }},
      {"copy_gbps", [](JobMachine& m) { m.copy_gbps += 1; }},
      {"step_us", [](JobMachine& m) { m.step_us += 1; }},
      {"turn_us", [](JobMachine& m) { m.turn_us += 1; }},
      {"ranks_per_host", [](JobMachine& m) { ++m.ranks_per_host; }},
      {"torus", [](JobMachine& m) { m.torus = {64}; }},
      {"boards", [](JobMachine& m) { m.boards = !m.boards; }},
      {"on_gpus", [](JobMachine& m) { m.on_gpus = !m.on_gpus; }},
      {"rails_per_host", [](JobMachine& m) { ++m.rails_per_host; }},
      {"ring_gbps", [](JobMachine& m) { m.ring_gbps += 1; }},
      {"tree_gbps", [](JobMachine& m) { m.tree_gbps += 1; }},
      {"a ring",
       [](JobMachine& m) {
         m.routes.rings.push_back({{0, 1}, 1});
       }},
      {"a tree",
       [](JobMachine& m) {
         m.routes.trees.push_back({{kNoRank, 0}, 1});
       }},
      {"core_sharers", [](JobMachine& m) { ++m.core_sharers; }},
      {"cores_per_host", [](JobMachine& m) { ++m.cores_per_host; }},
      {"latency", [](JobMachine& m) { m.links[0].latency_us += 1; }},
      {"bandwidth", [](JobMachine& m) { m.links.back().bandwidth_gbps += 1; }},
      {"a link less", [](JobMachine& m) { m.links.pop_back(); }},
      {"a level's name", [](JobMachine& m) { m.level_names[0] = Level::l3; }},
      {"a level less", [](JobMachine& m) { m.levels.pop_back(), m.level_names.pop_back(); }},
      {"a level's groups", [](JobMachine& m) {
         std::vector<int> other(64);
         for (int r = 0; r < 64; ++r) other[static_cast<std::size_t>(r)] = r % 8;
         m.levels[0] = Grouping(other);
       }}};
  for (const auto& [what, change] : changes) {
    JobMachine other = cluster();
    change(other);
    EXPECT_NE(hash(other), plain) << what;
  }
}

TEST(DescribeJob, RanksBelowOneSwitchAreNearer) {
  constexpr std::string_view kTree = "fat-tree:2x2 core:4 net=10GB/s net_latency=2us";
  EXPECT_DOUBLE_EQ(job(kTree, 8).links.back().latency_us, 2);
  EXPECT_DOUBLE_EQ(job(kTree, 16).links.back().latency_us, 6);
  const JobMachine hosts = job("fat-tree:2x2 core:1 net=10GB/s net_latency=2us", 4);
  ASSERT_EQ(hosts.level_names, std::vector{Level::leaf});
  EXPECT_DOUBLE_EQ(hosts.links[0].latency_us, 2);
  EXPECT_DOUBLE_EQ(hosts.links[1].latency_us, 6);
}

TEST(DescribeJob, FollowsThePlaceOfRanks) {
  const JobMachine m = cluster();
  EXPECT_EQ(m.ranks, 64);
  EXPECT_EQ(m.ranks_per_host, 16);
  EXPECT_EQ(m.cores_per_host, 16);
  EXPECT_FALSE(m.oversubscribed());
  EXPECT_EQ(m.level_names, (std::vector{Level::numa, Level::host}));
  ASSERT_EQ(m.links.size(), 3u);
  EXPECT_GT(m.links[2].latency_us, m.links[1].latency_us);
  EXPECT_TRUE(flat(8).levels.empty());
  auto topology = load_topology("core:4");
  ASSERT_TRUE(topology);
  EXPECT_FALSE(describe_job(*topology, 0));
}

}  // namespace
}  // namespace tutti
