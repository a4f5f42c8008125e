// Plans really run, all ranks by one thread, over a transport that delays, cuts and withholds.
#include "exec/cpu/execution.h"

#include <bit>
#include <numeric>

#include "algorithms/registry.h"
#include "schedule/passes.h"
#include "tests/exec/fabric.h"

namespace tutti {
namespace {

// All ranks of one all_reduce of `count` integers, where rank r puts in r + 1 + its index.
class Job {
 public:
  Job(const Algorithm& a, Rank ranks, std::uint64_t count, Fabric& fabric, bool fused) : ranks_(ranks), count_(count) {
    const auto p = static_cast<std::size_t>(ranks);
    in_.resize(p);
    out_.resize(p, std::vector<std::int32_t>(count, -1));
    for (std::size_t r = 0; r < p; ++r) {
      in_[r].resize(count);
      std::iota(in_[r].begin(), in_[r].end(), static_cast<std::int32_t>(r) + 1);
      const Schedule built = a.build(static_cast<Rank>(r), {.ranks = ranks}, {});
      const Schedule s = fused ? fuse(built) : built;
      const Blocks blocks{.uniform = count};
      const ChunkMap map(s.collective, s.rank, ranks, s.chunks_per_block, blocks, blocks, 4, s.scratch);
      const PlanOptions options{.cache_bytes = fused ? 1U : 0U};  // 1: nothing fits
      auto plan = lower(s, map, {.count = count}, DataType::i32, {}, fabric.of(static_cast<Rank>(r)), options);
      EXPECT_TRUE(plan);
      plans_.push_back(std::make_unique<Plan>(std::move(*plan)));
      executions_.push_back(std::make_unique<Execution>(*plans_.back()));
      scratch_.emplace_back(plans_.back()->scratch_needed());
    }
  }
  // Every rank is a lane that runs its plan `times` times.
  Status run(std::size_t times, const WaitPolicy& policy = {}) {
    NobodyFails watch;
    std::vector<Lane> lanes;
    for (std::size_t r = 0; r < executions_.size(); ++r) {
      Lane lane{.queue = {}, .buffers = {}, .sequences = {}};
      for (std::size_t i = 0; i < times; ++i) {
        lane.queue.push_back(executions_[r].get());
        lane.buffers.push_back(buffers(r));
        lane.sequences.push_back(static_cast<std::uint32_t>(i) + 1);
      }
      lanes.push_back(std::move(lane));
    }
    return drive(lanes, policy, watch);
  }
  void check() const {
    for (const auto& out : out_)
      for (std::uint64_t i = 0; i < count_; ++i)
        ASSERT_EQ(out[i], ranks_ * (ranks_ + 1) / 2 + ranks_ * static_cast<std::int32_t>(i)) << "element " << i;
  }
  [[nodiscard]] CallBuffers buffers(std::size_t r) {
    return {reinterpret_cast<const std::byte*>(in_[r].data()), reinterpret_cast<std::byte*>(out_[r].data()), scratch_[r].data()};
  }
  [[nodiscard]] Execution& execution(std::size_t r) { return *executions_[r]; }

 private:
  Rank ranks_;
  std::uint64_t count_;
  std::vector<std::vector<std::int32_t>> in_, out_;
  std::vector<std::vector<std::byte>> scratch_;
  std::vector<std::unique_ptr<Plan>> plans_;
  std::vector<std::unique_ptr<Execution>> executions_;
};

class Weather : public testing::TestWithParam<LoopbackFaults> {};

TEST_P(Weather, DoesNotChangeTheSum) {
  for (const Rank p : {1, 2, 3, 4, 7})
    for (const Algorithm& a : algorithms()) {
      if (a.collective != Collective::all_reduce || a.needs.levels) continue;
      if ((a.needs.even && p % 2 != 0) || (a.needs.power_of_two && !std::has_single_bit(static_cast<unsigned>(p)))) continue;
      for (const bool fused : {false, true})
        for (const std::uint64_t count : {1, 100, 3001}) {
          const testing::ScopedTrace trace(__FILE__, __LINE__, std::string(a.name) + " on " + std::to_string(p));
          Fabric fabric(p, GetParam());
          Job job(a, p, count, fabric, fused);
          const Status s = job.run(3);
          ASSERT_TRUE(s) << const_cast<Status&>(s).error().to_string();
          job.check();
        }
    }
}
INSTANTIATE_TEST_SUITE_P(Faults, Weather,
                         testing::Values(LoopbackFaults{}, LoopbackFaults{.delay_polls = 3}, LoopbackFaults{.piece_bytes = 64},
                                         LoopbackFaults{.delay_polls = 1, .piece_bytes = 192, .rendezvous = true},
                                         LoopbackFaults{.capacity_bytes = 64}));

TEST(Execution, IsDoneAtOnceWhereNothingIsSent) {
  Fabric fabric(1);
  Job job(*find_algorithm(Collective::all_reduce, "ring"), 1, 50, fabric, true);
  EXPECT_TRUE(job.execution(0).start(job.buffers(0), 1));
  EXPECT_TRUE(job.execution(0).done());
  job.check();
}

TEST(Execution, RanksThatDisagreeAreToldBothSides) {
  Fabric fabric(2);
  const Algorithm& a = *find_algorithm(Collective::all_reduce, "recursive_doubling");
  Job small(a, 2, 10, fabric, true), large(a, 2, 11, fabric, true);
  NobodyFails watch;
  std::vector<Lane> lanes;
  lanes.push_back({.queue = {&small.execution(0)}, .buffers = {small.buffers(0)}, .sequences = {1}});
  lanes.push_back({.queue = {&large.execution(1)}, .buffers = {large.buffers(1)}, .sequences = {1}});
  auto s = drive(lanes, {}, watch);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code(), Code::mismatch);
  EXPECT_NE(s.error().to_string().find("count 10"), std::string::npos) << s.error().to_string();
  EXPECT_NE(s.error().to_string().find("count 11"), std::string::npos) << s.error().to_string();
}

TEST(Execution, ATimeoutNamesTheRankThatIsWaitedFor) {
  Fabric fabric(2);
  Job job(*find_algorithm(Collective::all_reduce, "direct"), 2, 10, fabric, true);
  NobodyFails watch;
  ASSERT_TRUE(job.execution(0).start(job.buffers(0), 1));
  auto s = drive(job.execution(0), {.timeout = std::chrono::milliseconds(20)}, watch);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code(), Code::timeout);
  EXPECT_EQ(s.error().peer(), 1);
  EXPECT_NE(s.error().to_string().find("rank 1"), std::string::npos) << s.error().to_string();
}

// What it waits for is told to another one, as where two threads use a communicator.
TEST(Execution, ATimeoutWithoutARankSuspectsTwoThreads) {
  Fabric fabric(2);
  Job job(*find_algorithm(Collective::all_reduce, "direct"), 2, 10, fabric, true);
  NobodyFails watch;
  for (const std::size_t rank : {0, 1}) ASSERT_TRUE(job.execution(rank).start(job.buffers(rank), 1));
  Execution other = job.execution(0);
  auto s = drive(other, {.timeout = std::chrono::milliseconds(20)}, watch);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code(), Code::timeout);
  EXPECT_NE(s.error().to_string().find("two threads at once?"), std::string::npos) << s.error().to_string();
}

TEST(Execution, TheWatchEndsTheWait) {
  struct BadNews final : FailureWatch {
    Status check(const Waiting& waiting) override {
      awaited = waiting.peers;
      calls = waiting.calls;
      return Error(Code::peer_lost, "rank 1 died", 1);
    }
    void restart() override {}
    void add_fds(std::vector<pollfd>&) override {}
    std::vector<Rank> awaited;
    std::vector<Signature> calls;
  } watch;
  Fabric fabric(2);
  Job job(*find_algorithm(Collective::all_reduce, "direct"), 2, 10, fabric, true);
  ASSERT_TRUE(job.execution(0).start(job.buffers(0), 1));
  auto s = drive(job.execution(0), {}, watch);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().to_string(), "rank 1 died");
  EXPECT_EQ(watch.awaited, (std::vector<Rank>{1}));
  EXPECT_EQ(watch.calls, (std::vector<Signature>{job.execution(0).signature()}));
}

TEST(Execution, APeerThatDiesInTheMiddleIsAnError) {
  for (const std::uint64_t die_before : {0, 1, 2}) {
    Fabric fabric(3, {.die_before_send = die_before});
    Job job(*find_algorithm(Collective::all_reduce, "ring"), 3, 1000, fabric, true);
    auto s = job.run(1, {.timeout = std::chrono::seconds(20)});
    ASSERT_FALSE(s);
    EXPECT_NE(s.error().code(), Code::timeout) << s.error().to_string();
  }
}

}  // namespace
}  // namespace tutti
