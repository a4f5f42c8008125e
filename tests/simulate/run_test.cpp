// Whole calls in virtual time, beside what can be worked out by hand and what the cost model says.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "select/machines.h"
#include "simulate/trace.h"

namespace tutti::simulate {
namespace {

using testing::HasSubstr;

SelectRequest request_of(Collective collective, std::uint64_t bytes, std::string_view algorithm = "") {
  return {.collective = collective, .block_bytes = bytes, .forced = algorithm};
}

Result<Program> program_of(const Candidate& candidate, const SelectRequest& request, const JobMachine& machine) {
  return Program::of(candidate, request, machine, Program::forecast(candidate, request, machine));
}

Outcome simulated(const SelectRequest& request, const JobMachine& machine, const Conditions& conditions = {},
                  const std::function<void(const Span&)>& watch = {}) {
  const Selection selection = choose(request, machine);
  auto program = program_of(selection.winner(), request, machine);
  EXPECT_TRUE(program) << program.error().to_string();
  if (!program) return {};
  auto outcome = run(*program, machine, conditions, watch);
  EXPECT_TRUE(outcome) << outcome.error().to_string();
  return outcome ? std::move(*outcome) : Outcome{};
}

double us_of(const Outcome& outcome) { return microseconds(outcome.end); }

TEST(Run, ABroadcastToOneIsAStepAndAMessage) {
  const JobMachine machine = flat(2);
  const std::uint64_t bytes = 1 << 16;
  const Outcome o = simulated(request_of(Collective::broadcast, bytes, "knomial"), machine, {.eager_bytes = bytes});
  const LinkParameters& link = machine.links.back();
  const double expected = machine.step_us + static_cast<double>(bytes) / (link.bandwidth_gbps * 1e3) + link.latency_us;
  EXPECT_NEAR(us_of(o), expected, 1e-4);
  EXPECT_EQ(o.messages, 1U);
  EXPECT_EQ(o.last, 1);
}

TEST(Run, LargeMessagesWaitForTheReceiversWord) {
  const JobMachine machine = flat(2);
  const SelectRequest request = request_of(Collective::broadcast, 1 << 16, "knomial");
  const double eager = us_of(simulated(request, machine, {.eager_bytes = 1 << 16}));
  EXPECT_NEAR(us_of(simulated(request, machine, {.eager_bytes = 0})), eager + machine.links.back().latency_us, 1e-4);
}

TEST(Run, ARingTakesAsLongAsTheModelSays) {
  for (const Rank ranks : {2, 3, 5, 8, 16}) {
    const JobMachine machine = flat(ranks);
    for (const std::uint64_t bytes : {std::uint64_t{1} << 16, std::uint64_t{16} << 20}) {
      const SelectRequest request = request_of(Collective::all_reduce, bytes, "ring");
      const double model = choose(request, machine).winner().total_us;
      EXPECT_NEAR(us_of(simulated(request, machine, {.eager_bytes = UINT64_MAX})) / model, 1, 0.1) << ranks << ' ' << bytes;
    }
  }
}

TEST(Run, EveryRowEndsAndNoneIsFasterThanItsBytes) {
  for (const std::string_view description : {"core:6", "node:3 core:2", "node:4 numa:2 core:2"}) {
    const JobMachine machine = job(description, description == "core:6" || description == "node:3 core:2" ? 6 : 16);
    for (int c = 0; c < kCollectives; ++c) {
      const auto collective = static_cast<Collective>(c);
      if (collective == Collective::send_recv) continue;
      const SelectRequest request = request_of(collective, collective == Collective::barrier ? 0 : 96 << 10);
      for (const Candidate& candidate : all_variants(request, machine)) {
        auto program = program_of(candidate, request, machine);
        ASSERT_TRUE(program) << candidate.algorithm->name << ": " << program.error().to_string();
        auto outcome = run(*program, machine, {});
        ASSERT_TRUE(outcome) << candidate.algorithm->name;
        EXPECT_TRUE(outcome->stuck.empty()) << name(collective) << ' ' << candidate.algorithm->name;
        EXPECT_GT(outcome->end, 0);
        for (const auto& load : outcome->busiest) EXPECT_LE(load.busy, outcome->end) << candidate.algorithm->name;
      }
    }
  }
}

// Everybody has something for everybody, and all begin with their neighbours: no port is idle before all is sent.
TEST(Run, MessagesPassALinkInTheOrderInWhichTheyComeToIt) {
  const JobMachine machine = flat(5);
  const std::uint64_t bytes = 1 << 20;
  const Outcome o = simulated(request_of(Collective::all_gather, bytes, "direct"), machine, {.eager_bytes = UINT64_MAX});
  const double sent = 4 * static_cast<double>(bytes) / (machine.links.back().bandwidth_gbps * 1e3);
  EXPECT_NEAR(us_of(o) / (sent + machine.links.back().latency_us), 1, 0.01);
}

// Pieces of a stream follow each other, so that the first one is there early: a chain of p ranks takes p - 2 pieces more.
TEST(Run, MessagesOfAStreamLeaveOneAfterTheOther) {
  JobMachine machine = flat(4);
  machine.copy_gbps = 1e6;  // or the root's core would be at work on its own output meanwhile
  const std::uint64_t bytes = 8 << 20, pieces = 8;
  const Outcome o = simulated(request_of(Collective::broadcast, bytes, "chain/pieces=8"), machine, {.eager_bytes = UINT64_MAX});
  const double vector_us = static_cast<double>(bytes) / (machine.links.back().bandwidth_gbps * 1e3);
  EXPECT_NEAR(us_of(o) / (vector_us * (1 + 2.0 / pieces)), 1, 0.02);
}

TEST(Run, TheForecastOfItsMemoryIsNear) {
  const JobMachine machine = job("node:64 core:8", 512);
  for (const std::string_view algorithm : {"ring", "hierarchical", "two_shot"}) {
    const SelectRequest request = request_of(Collective::all_reduce, 1 << 20, algorithm);
    const Selection selection = choose(request, machine);
    const Program::Size size = Program::forecast(selection.winner(), request, machine);
    auto program = program_of(selection.winner(), request, machine);
    ASSERT_TRUE(program);
    EXPECT_NEAR(static_cast<double>(size.steps) / program->steps(), 1.1, 0.2) << algorithm;
    auto outcome = run(*program, machine, {});
    ASSERT_TRUE(outcome);
    EXPECT_LT(outcome->memory_bytes, memory_forecast(size) * 5 / 4) << algorithm;
  }
}

TEST(Run, TheSameConditionsGiveTheSameTimes) {
  const JobMachine machine = job("node:4 core:4", 16);
  const SelectRequest request = request_of(Collective::all_reduce, 1 << 20);
  const auto end_with = [&](std::uint64_t seed) { return simulated(request, machine, {.delay_us = 50, .seed = seed}).end; };
  EXPECT_EQ(end_with(1), end_with(1));
  EXPECT_NE(end_with(1), end_with(2));
  EXPECT_LE(end_with(1), simulated(request, machine).end + from_microseconds(50) * 2);
}

TEST(Run, ALongOneSaysHowFarItIs) {
  const JobMachine machine = flat(64);
  const SelectRequest request = request_of(Collective::all_reduce, 1 << 20, "ring");
  const Selection selection = choose(request, machine);
  auto program = program_of(selection.winner(), request, machine);
  ASSERT_TRUE(program);
  std::vector<Progress> said;
  auto outcome = run(*program, machine, {}, {}, [&](const Progress& p) { said.push_back(p); });
  ASSERT_TRUE(outcome);
  ASSERT_EQ(said.size(), outcome->events / kEventsPerReport);
  ASSERT_GT(said.size(), 1U);
  for (std::size_t i = 0; i < said.size(); ++i) {
    EXPECT_EQ(said[i].events, (i + 1) * kEventsPerReport);
    EXPECT_EQ(said[i].messages, outcome->messages);
    EXPECT_LE(said[i].sent, said[i].messages);
    EXPECT_LE(said[i > 0 ? i - 1 : 0].now, said[i].now);
  }
  EXPECT_LE(said.back().now, outcome->end);
}

TEST(Run, OneSlowRankHoldsUpAll) {
  const JobMachine machine = flat(8);
  const SelectRequest request = request_of(Collective::all_reduce, 1 << 20, "ring");
  const double usual = us_of(simulated(request, machine));
  EXPECT_GT(us_of(simulated(request, machine, {.slow_links = {{.rank = 3, .factor = 4}}})), 3 * usual);
  EXPECT_GT(us_of(simulated(request, machine, {.slow_ranks = {{.rank = 3, .factor = 100}}})), usual);
}

TEST(Run, WhoWaitsForALostRankIsNamed) {
  const JobMachine machine = flat(4);
  const Outcome o = simulated(request_of(Collective::broadcast, 1 << 20, "chain"), machine, {.lost = {{.rank = 1, .at = 0}}});
  ASSERT_FALSE(o.stuck.empty());
  std::map<Rank, Rank> waits;
  for (const Stuck& s : o.stuck) waits[s.rank] = s.waits_for;
  EXPECT_EQ(waits.at(1), kNoRank);
  EXPECT_EQ(waits.at(2), 1);
  EXPECT_EQ(waits.at(3), 2);
}

TEST(Run, ALostRankSendsNothingMore) {
  const JobMachine machine = flat(2);
  const SelectRequest request = request_of(Collective::broadcast, 1 << 20, "knomial");
  // Its message is large, and waits for a receiver that is late.
  const Conditions late{.slow_ranks = {{.rank = 1, .factor = 1000}}, .lost = {{.rank = 0, .at = from_microseconds(5)}}};
  EXPECT_EQ(simulated(request, machine, late).stuck.size(), 2U);
  const Outcome under_way = simulated(request, machine, {.lost = {{.rank = 0, .at = from_microseconds(5)}}});
  EXPECT_EQ(under_way.stuck.size(), 2U) << "a part of it had not left";
}

TEST(Run, TheForecastKnowsOfRoots) {
  const JobMachine machine = flat(1000);
  SelectRequest request = request_of(Collective::gather, 64, "direct");
  for (const Rank root : {0, 7, 999}) {
    request.root = root;
    const Selection selection = choose(request, machine);
    const Program::Size size = Program::forecast(selection.winner(), request, machine);
    auto program = Program::of(selection.winner(), request, machine, size);
    ASSERT_TRUE(program);
    EXPECT_NEAR(static_cast<double>(size.steps) / program->steps(), 1.1, 0.02) << root;
  }
}

TEST(Run, MoreTimeThanCanBeCountedIsAnError) {
  JobMachine machine = flat(2);
  machine.links.back().bandwidth_gbps = 1e-12;
  const SelectRequest request = request_of(Collective::broadcast, 1 << 20, "knomial");
  const Selection selection = choose(request, machine);
  auto program = program_of(selection.winner(), request, machine);
  ASSERT_TRUE(program);
  auto outcome = run(*program, machine, {});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), Code::resource);
}

TEST(Run, MessagesThatNobodyTakesAreAnError) {
  Algorithm broken = *find_algorithm(Collective::broadcast, "knomial");
  broken.build = +[](Rank me, const Shape& shape, const Chunking&) {
    Builder b(Collective::broadcast, "broken", me, shape, 1);
    if (me == 0) b.send(b.input(0), 1);
    return std::move(b).finish();
  };
  const JobMachine machine = flat(2);
  auto program = Program::of({.algorithm = &broken}, request_of(Collective::broadcast, 8), machine, {});
  ASSERT_FALSE(program);
  EXPECT_EQ(program.error().code(), Code::mismatch);
  EXPECT_THAT(program.error().to_string(), HasSubstr("from rank 0 to rank 1"));
}

TEST(Run, WhatHappensCanBeTracedAndDrawn) {
  const JobMachine machine = flat(4);
  std::vector<Span> spans;
  const Outcome o = simulated(request_of(Collective::all_reduce, 1 << 20, "ring"), machine, {},
                              [&](const Span& span) { spans.push_back(span); });
  const auto messages = static_cast<std::uint64_t>(std::ranges::count_if(spans, [](const Span& s) { return s.peer != kNoRank; }));
  EXPECT_EQ(messages, o.messages);
  EXPECT_EQ(messages, 4U * 2 * 3);
  for (const Span& s : spans) {
    EXPECT_LE(s.begin, s.end);
    EXPECT_LE(s.end, o.end);
  }
  const auto trace = nlohmann::json::parse(to_perfetto(spans, 4));
  std::size_t shown = 0;
  for (const auto& event : trace["traceEvents"])
    if (event["ph"] == "X") ++shown;
  EXPECT_EQ(shown, spans.size());
  const std::string svg = draw_timeline(spans, 4, o.end, "ring");
  EXPECT_THAT(svg, HasSubstr(">rank 3</text>"));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
}

}  // namespace
}  // namespace tutti::simulate
