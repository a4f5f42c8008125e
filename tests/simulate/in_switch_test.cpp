// An all_reduce whose sums are made by switches: that they are right, how many bytes it moves, and how long it takes.
#include "simulate/in_switch.h"

#include <gmock/gmock.h>

#include <deque>
#include <map>

#include "select/machines.h"
#include "simulate/simulate.h"

namespace tutti::simulate {
namespace {

constexpr double kGbps = 100, kLatencyUs = 2;

SelectRequest all_reduce_of(std::uint64_t bytes) { return {.collective = Collective::all_reduce, .block_bytes = bytes}; }

Switches switches_of(const JobMachine& machine) {
  auto switches = reducing_switches(machine, kGbps, kLatencyUs);
  EXPECT_TRUE(switches) << switches.error().to_string();
  return switches ? *switches : Switches{};
}

// How often each rank's contribution is in a chunk.
using Sum = std::vector<int>;

// Carries the schedules of all ranks and switches out, each step by step; messages have room for all.
class Interpreter {
 public:
  Interpreter(const Algorithm& row, const JobMachine& machine, Rank switches, std::uint32_t pieces) : ranks_(machine.ranks) {
    for (Rank r = 0; r < machine.ranks + switches; ++r) {
      actors_.push_back({row.build(r, shape_on(machine, 0), {.pieces = pieces}), 0, {}});
      for (std::uint32_t c = 0; r < machine.ranks && c < actors_.back().schedule.chunks_per_block; ++c) {
        Sum own(static_cast<std::size_t>(machine.ranks), 0);
        own[static_cast<std::size_t>(r)] = 1;
        actors_.back().memory[{Buffer::input, c}] = own;
      }
    }
  }

  // What each rank has in the end; nothing of a rank that never ends.
  std::vector<std::vector<Sum>> run() {
    while (std::ranges::any_of(actors_, [this](Actor& a) { return step(a); })) {
    }
    std::vector<std::vector<Sum>> results;
    for (Rank r = 0; r < ranks_; ++r) {
      Actor& a = actors_[static_cast<std::size_t>(r)];
      results.emplace_back();
      if (a.next < a.schedule.steps.size()) continue;
      for (std::uint32_t c = 0; c < a.schedule.chunks_per_block; ++c) results.back().push_back(a.memory[{Buffer::output, c}]);
    }
    return results;
  }

 private:
  struct Actor {
    Schedule schedule;
    std::size_t next = 0;
    std::map<std::pair<Buffer, std::uint32_t>, Sum> memory;
  };
  using Stream = std::tuple<Rank, Rank, std::uint16_t>;

  bool step(Actor& a) {
    if (a.next == a.schedule.steps.size()) return false;
    const Step& s = a.schedule.steps[a.next];
    const auto at = [&](const Slice& slice, std::uint32_t i) -> Sum& { return a.memory[{slice.buffer, slice.chunk + i}]; };
    auto& arrived = streams_[{s.peer, a.schedule.rank, s.channel}];
    if (s.kind == StepKind::recv && arrived.size() < s.to.count) return false;
    for (std::uint32_t i = 0; i < (s.kind == StepKind::recv ? s.to : s.from).count; ++i) switch (s.kind) {
        case StepKind::send:
          streams_[{a.schedule.rank, s.peer, s.channel}].push_back(at(s.from, i));
          break;
        case StepKind::recv:
          at(s.to, i) = arrived.front();
          arrived.pop_front();
          break;
        case StepKind::copy:
          at(s.to, i) = at(s.from, i);
          break;
        case StepKind::reduce:
          for (std::size_t r = 0; r < at(s.to, i).size(); ++r) at(s.to, i)[r] += at(s.from, i)[r];
          break;
        default:
          ADD_FAILURE() << "no builder writes a step like " << name(s.kind);
      }
    ++a.next;
    return true;
  }

  Rank ranks_;
  std::vector<Actor> actors_;
  std::map<Stream, std::deque<Sum>> streams_;
};

TEST(InSwitch, EverybodyGetsEveryContributionOnce) {
  for (const auto& [description, ranks] :
       {std::pair("core:5", 5), std::pair("node:2 core:3", 6), std::pair("node:5 core:2", 10)}) {
    const JobMachine machine = job(description, ranks);
    const auto row = in_switch_row(machine);
    for (const std::uint32_t pieces : {1U, 3U}) {
      const auto results = Interpreter(*row, machine, switches_of(machine).count, pieces).run();
      const Sum all(static_cast<std::size_t>(ranks), 1);
      for (const auto& chunks : results) {
        EXPECT_FALSE(chunks.empty()) << description;
        EXPECT_THAT(chunks, testing::Each(all)) << description << ' ' << pieces;
      }
    }
  }
}

Outcome simulated(const JobMachine& machine, std::uint64_t bytes, std::uint32_t pieces) {
  const Switches switches = switches_of(machine);
  const auto row = in_switch_row(machine);
  const Candidate candidate = in_switch(*row, all_reduce_of(bytes), machine, switches, pieces);
  const Program::Size size = Program::forecast(candidate, all_reduce_of(bytes), machine, switches);
  auto program = Program::of(candidate, all_reduce_of(bytes), machine, size, switches);
  EXPECT_TRUE(program) << program.error().to_string();
  if (!program) return {};
  EXPECT_NEAR(static_cast<double>(size.steps) / program->steps(), 1.1, 0.05);
  auto outcome = run(*program, machine, {});
  EXPECT_TRUE(outcome) << outcome.error().to_string();
  if (!outcome) return {};
  EXPECT_TRUE(outcome->stuck.empty());
  EXPECT_GT(microseconds(outcome->end) / candidate.total_us, 0.9) << "of what the closed formula says";
  return std::move(*outcome);
}

TEST(InSwitch, ALinkCarriesTheVectorAndOneShareInEachDirection) {
  const std::uint64_t bytes = 8 << 20, ranks = 8;
  const Outcome o = simulated(job("core:8", ranks), bytes, 4);
  for (const auto& load : o.busiest) EXPECT_EQ(load.bytes, bytes + bytes / ranks) << load.link;
}

TEST(InSwitch, ItTakesAsLongAsThat) {
  const std::uint64_t bytes = 256 << 20;
  const double all = static_cast<double>(bytes) * (1 + 1.0 / 8) / (kGbps * 1e3);
  EXPECT_NEAR(microseconds(simulated(job("core:8", 8), bytes, 64).end) / all, 1, 0.03);
  const JobMachine machine = job("core:8", 8);
  const double small = microseconds(simulated(machine, 8, 1).end);
  EXPECT_GT(small, 4 * kLatencyUs);
  EXPECT_LT(small, 4 * kLatencyUs + 20 * machine.step_us) << "eight parts there, eight back";
}

TEST(InSwitch, HostsShareTheirLinksToTheNetworkBelowIt) {
  const JobMachine machine = job("node:4 core:4", 16);
  const Outcome o = simulated(machine, 64 << 20, 16);
  EXPECT_THAT(o.busiest.front().link, testing::HasSubstr("host")) << "of which the trees send two vectors";
}

TEST(InSwitch, HostsMustBeAlike) {
  JobMachine machine = job("node:2 core:2", 4);
  machine.ranks = 3;
  machine.levels = {Grouping({0, 0, 1})};
  auto switches = reducing_switches(machine, kGbps);
  ASSERT_FALSE(switches);
  EXPECT_EQ(switches.error().code(), Code::invalid_argument);
  EXPECT_THAT(switches.error().to_string(), testing::HasSubstr("the same number of ranks"));
}

TEST(InSwitch, HalfTheWayToANeighbourIsTheUsualLatency) {
  const JobMachine machine = job("node:2 core:4", 8);
  auto switches = reducing_switches(machine, kGbps);
  ASSERT_TRUE(switches);
  EXPECT_EQ(switches->count, 2);
  EXPECT_DOUBLE_EQ(switches->latency_us, machine.links.front().latency_us / 2);
}

}  // namespace
}  // namespace tutti::simulate
