#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "machines.h"

namespace tutti {
namespace {

using testing::HasSubstr;

TEST(Render, NamesTheWinnerAllCandidatesAndWhyOthersWereRefused) {
  const JobMachine machine = flat(7);
  for (const Collective collective : {Collective::all_reduce, Collective::all_gather, Collective::broadcast}) {
    const SelectRequest request{.collective = collective, .block_bytes = 4096, .commutative = false};
    const Selection s = choose(request, machine);
    const std::string text = render(s, request, machine);
    EXPECT_THAT(text, HasSubstr(fmt::format("{} of 4096 bytes", name(collective))));
    EXPECT_THAT(text, HasSubstr("7 ranks"));
    EXPECT_THAT(text, HasSubstr(fmt::format("\n> {}", s.winner().algorithm->name)));
    EXPECT_THAT(text, HasSubstr(fmt::format("chosen: {}, the least predicted time", s.winner().algorithm->name)));
    for (const Candidate& c : s.candidates) {
      EXPECT_THAT(text, HasSubstr(std::string(c.algorithm->name)));
      if (!c.refused.empty()) {
        EXPECT_THAT(text, HasSubstr(fmt::format("{:<25} refused: {}", c.algorithm->name, c.refused)));
      }
    }
  }
}

TEST(Render, ShowsWhereFromOnBytesMoveAnotherWay) {
  JobMachine machine = flat(2);
  const SelectRequest request{.collective = Collective::all_reduce, .block_bytes = 4096};
  const Selection s = choose(request, machine);
  machine.tuning = {{.past_caches_from = 32768, .mapped_from = LinkTuning::kNever, .placed_from = LinkTuning::kNever}};
  EXPECT_THAT(render(s, request, machine), HasSubstr("messages stored past the caches from 32K\n"));
  const auto link = nlohmann::json::parse(to_json(s, request, machine))["links"][0];
  EXPECT_EQ(link["past_caches_from"], 32768);
  EXPECT_TRUE(link["direct_from"].is_null());
  EXPECT_TRUE(link["mapped_from"].is_null());
  machine.tuning = {{.mapped_from = 65536, .handed_back_below = 1 << 20, .placed_from = LinkTuning::kNever}};
  EXPECT_THAT(render(s, request, machine), HasSubstr("or adopted from 64K (and handed back below 1M)\n"));
  machine.tuning = {{.mapped_from = LinkTuning::kNever, .placed_from = LinkTuning::kNever}};
  EXPECT_THAT(render(s, request, machine), testing::Not(HasSubstr("messages")));
  machine.adoption = "buffers are adopted\nuntil now: none";
  EXPECT_THAT(render(s, request, machine),
              HasSubstr("  buffers are adopted\n                                 until now: none\n"));
}

TEST(Render, ShowsWhatCarriesEachLinkAndWhy) {
  JobMachine machine = job("node:2 core:2", 4);
  ASSERT_EQ(machine.links.size(), 2U);
  machine.carriers = {{{.transport = "shm", .over = "", .why = "the first", .pairs = 2}},
                      {{.transport = "tcp", .over = "eth0 10.0.0.1", .why = "not verbs: none", .pairs = 3},
                       {.transport = "", .over = "", .why = "not tcp: left out", .pairs = 1}}};
  const SelectRequest request{.collective = Collective::all_reduce, .block_bytes = 4096};
  const Selection s = choose(request, machine);
  const std::string text = render(s, request, machine);
  EXPECT_THAT(text, HasSubstr("\n  inside a host                  shm      the first\n"));
  EXPECT_THAT(text, HasSubstr("\n  between the outermost groups   tcp      3 pairs of ranks; eth0 10.0.0.1; not verbs: none\n"
                              "                                 nothing  1 pair of ranks; not tcp: left out\n"));
  const auto links = nlohmann::json::parse(to_json(s, request, machine))["links"];
  EXPECT_EQ(links[0]["transports"],
            nlohmann::json::parse(R"([{"transport": "shm", "over": "", "why": "the first", "pairs": 2}])"));
  EXPECT_EQ(links[1]["transports"][0]["over"], "eth0 10.0.0.1");
  EXPECT_TRUE(links[1]["transports"][1]["transport"].is_null());
}

TEST(Render, ExpectsATransportWhereNoJobRuns) {
  const auto expected = [](std::string_view description, Rank ranks) {
    std::vector<std::string> names;
    for (const auto& of_link : job(description, ranks).carriers) {
      EXPECT_EQ(of_link.size(), 1U);
      EXPECT_THAT(of_link[0].why, testing::StartsWith("expected: "));
      EXPECT_EQ(of_link[0].pairs, 0U);
      names.push_back(of_link[0].transport);
    }
    return names;
  };
  using testing::ElementsAre;
  EXPECT_THAT(expected("core:4", 4), ElementsAre("shm"));
  EXPECT_THAT(expected("node:2 numa:2 core:2", 8), ElementsAre("shm", "shm", "tcp"));
  EXPECT_THAT(expected("node:2 core:2 nic:2 net=25GB/s net_latency=2us", 4), ElementsAre("shm", "verbs"));
  EXPECT_THAT(expected("fat-tree:2x2", 4), ElementsAre("tcp", "tcp")) << "below one switch and beyond";
  EXPECT_EQ(job("node:2 core:2 nic:2 net=25GB/s net_latency=2us", 4).carriers[1][0].over, "2 links of a host side by side");
  const auto by_kernel =
      describe_job(*load_topology("node:2 core:2 nic:2 net=25GB/s net_latency=2us"), 4, Seats::cores, HostLinks::fastest);
  ASSERT_TRUE(by_kernel);
  EXPECT_EQ(by_kernel->carriers[1][0].transport, "tcp");
  EXPECT_EQ(by_kernel->links[1].bandwidth_gbps, 25);
  const auto gpus = describe_job(*load_topology("dgx-h100:2"), 16, Seats::gpus);
  ASSERT_TRUE(gpus);
  EXPECT_TRUE(gpus->carriers.front().empty()) << "between GPUs of one host it is no transport";
  EXPECT_EQ(gpus->carriers.back()[0].transport, "verbs");
}

TEST(Render, SaysThatHostsShareCores) {
  const SelectRequest request{.collective = Collective::all_reduce, .block_bytes = 4096};
  JobMachine machine = job("node:2 core:2", 4);
  EXPECT_THAT(render(choose(request, machine), request, machine), testing::Not(HasSubstr("hosts share cores")));
  machine.core_sharers = 4;
  EXPECT_THAT(render(choose(request, machine), request, machine), HasSubstr("hosts share cores, which are their network, too"));
}

TEST(Render, SaysThatAnAlgorithmWasForced) {
  const JobMachine machine = flat(4);
  const SelectRequest request{.collective = Collective::all_reduce, .block_bytes = 4096, .forced = "ring"};
  EXPECT_THAT(render(choose(request, machine), request, machine), HasSubstr("chosen: ring, because it was forced"));
}

TEST(Render, JsonAgreesWithTheSelection) {
  const JobMachine machine = cluster();
  const SelectRequest request{.collective = Collective::all_reduce, .block_bytes = 1 << 20, .commutative = true};
  const Selection s = choose(request, machine);
  const auto json = nlohmann::json::parse(to_json(s, request, machine), nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  EXPECT_EQ(json["collective"], "all_reduce");
  EXPECT_EQ(json["block_bytes"], 1 << 20);
  EXPECT_EQ(json["ranks"], 64);
  EXPECT_EQ(json["chosen"], s.winner().algorithm->name);
  EXPECT_EQ(json["forced"], false);
  EXPECT_EQ(json["links"].size(), machine.links.size());
  ASSERT_EQ(json["candidates"].size(), s.candidates.size());
  for (std::size_t i = 0; i < s.candidates.size(); ++i) {
    const Candidate& c = s.candidates[i];
    const auto& row = json["candidates"][i];
    EXPECT_EQ(row["algorithm"], c.algorithm->name);
    EXPECT_EQ(row.contains("refused"), !c.refused.empty());
    if (!c.refused.empty()) continue;
    EXPECT_EQ(row["total_us"], c.total_us);
    EXPECT_EQ(row["rounds"], c.rounds);
    EXPECT_EQ(row["published"], c.published);
    EXPECT_EQ(row["pieces"], c.chunking.pieces);
  }
}

}  // namespace
}  // namespace tutti
