// From chunks to bytes, from peers to streams.
#include "exec/cpu/plan.h"

#include <algorithm>

#include "algorithms/registry.h"
#include "schedule/passes.h"
#include "tests/exec/fabric.h"

namespace tutti {
namespace {

constexpr Shape kTwo{.ranks = 2};

// Rank 0 of an all_gather among two: sends its block in two chunks and receives the other's.
Schedule exchange() {
  Builder b(Collective::all_gather, "test", 0, kTwo, 2);
  b.copy(b.input(0, 2), b.output(0, 2));
  b.send(b.input(0), 1);
  b.send(b.input(1), 1);
  b.recv(1, b.output(2, 2));
  return std::move(b).finish();
}
Plan lowered(const Schedule& s, const Blocks& in, const Blocks& out, StreamSource& streams, DataType type = DataType::i32,
             const ReduceOp& op = {}, std::uint64_t count = 0, const PlanOptions& options = {}) {
  const ChunkMap map(s.collective, s.rank, s.ranks, s.chunks_per_block, in, out, size_of(type), s.scratch);
  auto plan = lower(s, map, {.count = count}, type, op, streams, options);
  EXPECT_TRUE(plan) << plan.error().to_string();
  return std::move(*plan);
}
std::size_t steps_of(const Plan& plan, StepKind kind) {
  return static_cast<std::size_t>(std::ranges::count(plan.steps, kind, &PlanStep::kind));
}

TEST(Plan, TurnsChunksIntoBytesAndSharesOneStreamPerPeerAndChannel) {
  Fabric fabric(2);
  const Blocks blocks{.uniform = 100};
  const Plan plan = lowered(exchange(), blocks, blocks, fabric.of(0));
  ASSERT_EQ(plan.steps.size(), 4U);
  EXPECT_EQ(plan.streams.size(), 1U);
  EXPECT_EQ(plan.steps[0].count, 100U);
  EXPECT_EQ(plan.steps[1].count + plan.steps[2].count, 100U);
  EXPECT_EQ(plan.steps[2].from.offset, plan.steps[1].count * 4);
  EXPECT_EQ(plan.steps[3].to.offset, 400U);
  EXPECT_EQ(plan.steps[3].to.buffer, Buffer::output);
  EXPECT_EQ(plan.steps[3].count, 100U);
}

TEST(Plan, PostsOnAStreamKeepTheirOrderAndTheRestStartsAtOnce) {
  Fabric fabric(2);
  const Blocks blocks{.uniform = 100};
  const Plan plan = lowered(exchange(), blocks, blocks, fabric.of(0));
  EXPECT_EQ(plan.steps[1].next_in_stream, 2U);
  EXPECT_EQ(plan.steps[2].next_in_stream, kNoStep);
  EXPECT_EQ(plan.steps[3].next_in_stream, kNoStep) << "receives wait for no send";
  EXPECT_EQ(plan.steps[2].remaining, 1U);
  EXPECT_EQ(plan.ready, (std::vector<std::uint32_t>{3, 0, 1}));
}

TEST(Plan, DependenciesBecomeSuccessors) {
  Fabric fabric(2);
  Builder b(Collective::all_reduce, "test", 0, kTwo, 1);
  const Slice other = b.scratch_like(b.input(0));
  b.copy(b.input(0), b.output(0));
  b.recv(1, other);
  b.reduce(other, b.output(0));
  b.send(b.output(0), 1);
  const Blocks blocks{.uniform = 10};
  const Plan plan = lowered(std::move(b).finish(), blocks, blocks, fabric.of(0));
  const auto after = [&](std::size_t i) {
    const PlanStep& s = plan.steps[i];
    return std::vector<std::uint32_t>(plan.successors.begin() + s.successors_begin, plan.successors.begin() + s.successors_end);
  };
  EXPECT_NE(std::ranges::count(after(0), 2U), 0);
  EXPECT_NE(std::ranges::count(after(1), 2U), 0);
  EXPECT_EQ(after(2), (std::vector<std::uint32_t>{3}));
  EXPECT_EQ(plan.ready, (std::vector<std::uint32_t>{1, 0}));
  EXPECT_EQ(plan.scratch_bytes, 40U);
}

TEST(Plan, SendsOfWhatThisRankHasComputedAreMarked) {
  Fabric fabric(2);
  Builder b(Collective::all_reduce, "test", 0, kTwo, 1);
  b.send(b.input(0), 1);
  b.copy(b.input(0), b.output(0));
  b.send(b.output(0), 1);
  const Slice other = b.scratch_like(b.input(0));
  b.recv(1, other);
  b.reduce(other, b.output(0));
  b.send(b.output(0), 1);
  const Blocks blocks{.uniform = 10};
  const Plan plan = lowered(std::move(b).finish(), blocks, blocks, fabric.of(0));
  std::vector<bool> marked;
  for (const PlanStep& s : plan.steps)
    if (s.kind == StepKind::send) marked.push_back(s.just_written);
  EXPECT_EQ(marked, (std::vector<bool>{false, false, true}));
  std::vector<bool> awaited;
  for (const PlanStep& s : plan.steps)
    if (s.kind == StepKind::send) awaited.push_back(s.awaited);
  EXPECT_EQ(awaited, (std::vector<bool>{false, true, false}));  // the reduction writes to what the second one sends
}

TEST(Plan, NothingIsSentForEmptyChunksAndNoStreamIsOpenedForThem) {
  Fabric fabric(2);
  constexpr std::uint64_t kElsewhere = 7;  // elements that other ranks' blocks hold
  const Plan plan = lowered(exchange(), {}, {}, fabric.of(0), DataType::i32, {}, kElsewhere);
  EXPECT_EQ(steps_of(plan, StepKind::copy), plan.steps.size());
  EXPECT_TRUE(plan.streams.empty());
  EXPECT_EQ(fabric.of(0).opened(), 0U);
}

TEST(Plan, ACallThatIsEmptyAltogetherIsStillComparedBetweenRanks) {
  Fabric fabric(2);
  const Plan plan = lowered(exchange(), {}, {}, fabric.of(0));
  EXPECT_EQ(steps_of(plan, StepKind::send), 2U);
  EXPECT_EQ(steps_of(plan, StepKind::recv), 1U);
}

TEST(Plan, ABarrierSendsItsEmptyChunks) {
  Fabric fabric(2);
  Builder b(Collective::barrier, "test", 0, kTwo, 1);
  b.send(b.input(0), 1);
  b.recv(1, b.output(0));
  const Plan plan = lowered(std::move(b).finish(), {}, {}, fabric.of(0));
  EXPECT_EQ(steps_of(plan, StepKind::send), 1U);
  EXPECT_EQ(steps_of(plan, StepKind::recv), 1U);
}

TEST(Plan, ASliceOfUnevenBlocksIsOneMessagePerChunk) {
  Fabric fabric(2);
  Builder b(Collective::all_gather, "test", 0, kTwo, 1);
  b.copy(b.input(0), b.output(0));
  b.recv(1, b.output(0, 2));
  const std::vector<std::uint64_t> counts{3, 7}, at{20, 0};
  const Blocks out{.uniform = 0, .counts = counts, .displacements = at};
  const Plan plan = lowered(std::move(b).finish(), {}, out, fabric.of(0));
  ASSERT_EQ(plan.steps.size(), 3U);
  EXPECT_EQ(plan.steps[1].to.offset, 80U);
  EXPECT_EQ(plan.steps[1].count, 3U);
  EXPECT_EQ(plan.steps[2].to.offset, 0U);
  EXPECT_EQ(plan.steps[2].count, 7U);
}

TEST(Plan, PointToPointHasStreamsOfItsOwn) {
  Fabric fabric(2);
  Builder b(Collective::send_recv, "test", 0, kTwo, 1);
  b.send(b.input(0), 1);
  const Blocks blocks{.uniform = 4};
  const Plan one = lowered(std::move(b).finish(), blocks, blocks, fabric.of(0));
  const Plan other = lowered(exchange(), blocks, blocks, fabric.of(0));
  ASSERT_EQ(one.streams.size(), 1U);
  EXPECT_NE(one.streams[0], other.streams[0]);
}

TEST(Plan, AStreamThatCannotBeOpenedIsAnError) {
  struct Closed final : StreamSource {
    Result<Stream*> stream(Rank peer, std::uint16_t) override { return Error(Code::unsupported, "no way there", peer); }
  } closed;
  const Schedule s = exchange();
  const Blocks blocks{.uniform = 4};
  const ChunkMap map(s.collective, 0, 2, 2, blocks, blocks, 4, s.scratch);
  auto plan = lower(s, map, {}, DataType::i32, {}, closed);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code(), Code::unsupported);
  EXPECT_EQ(plan.error().peer(), 1);
}

// A rank's part of a named algorithm, fused.
Schedule part_of(Collective collective, std::string_view algorithm, Rank me, Rank ranks) {
  return fuse(find_algorithm(collective, algorithm)->build(me, {.ranks = ranks}, {}));
}

TEST(Plan, AveragesWhereAllContributionsMeet) {
  const Blocks blocks{.uniform = 90};
  const auto plan = [&](std::string_view algorithm, Rank ranks, bool meets_at_once) {
    Fabric fabric(ranks);
    return lowered(part_of(Collective::all_reduce, algorithm, 1, ranks), blocks, blocks, fabric.of(1), DataType::f16,
                   {.kind = ReduceKind::avg}, 90, {.meets_at_once = meets_at_once});
  };
  for (const auto* algorithm : {"ring", "recursive_doubling", "direct"}) {
    EXPECT_EQ(plan(algorithm, 2, false).reduction.average_over(), 2) << algorithm << ": two always meet at once";
    EXPECT_TRUE(plan(algorithm, 2, false).average.empty()) << algorithm << " divides once";
  }
  EXPECT_EQ(plan("two_shot", 5, true).reduction.average_over(), 5);
  EXPECT_TRUE(plan("two_shot", 5, true).average.empty());
  EXPECT_EQ(plan("ring", 5, false).reduction.average_over(), 0);
  EXPECT_EQ(plan("ring", 5, false).average, (std::vector<Extent>{{0, 90}}));
}

TEST(Plan, AlgorithmsThatAreWrongAboutThemselvesAreFoundOut) {
  Fabric fabric(3);
  const Blocks blocks{.uniform = 90};
  const Schedule s = part_of(Collective::all_reduce, "ring", 0, 3);
  const ChunkMap map(s.collective, 0, 3, s.chunks_per_block, blocks, blocks, 4, s.scratch);
  const auto plan = lower(s, map, {.count = 90}, DataType::f32, {.kind = ReduceKind::avg}, fabric.of(0), {.meets_at_once = true});
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code(), Code::internal);
}

TEST(Plan, PrefixesAreAlwaysDividedAtTheEnd) {
  for (const Rank me : {0, 1}) {
    Fabric fabric(2);
    const Blocks blocks{.uniform = 10};
    const Plan plan = lowered(part_of(Collective::scan, "linear", me, 2), blocks, blocks, fabric.of(me), DataType::f32,
                              {.kind = ReduceKind::avg}, 10);
    EXPECT_EQ(plan.reduction.average_over(), 0);
    EXPECT_EQ(plan.average, (std::vector<Extent>{{0, 10}}));
  }
}

TEST(Plan, ResultsOfLargeCallsThatAreNotReadAgainPassByTheCaches) {
  const auto past_caches = [](std::string_view algorithm, std::uint64_t cache_bytes) {
    Fabric fabric(3);
    const Blocks blocks{.uniform = 3000};
    const Plan plan = lowered(part_of(Collective::all_reduce, algorithm, 0, 3), blocks, blocks, fabric.of(0), DataType::i32, {},
                              3000, {.cache_bytes = cache_bytes});
    bool folds = false;
    for (const PlanStep& step : plan.steps) {
      if (step.to.buffer != Buffer::output) {
        EXPECT_FALSE(step.past_caches) << "scratch is read again";
      }
      folds |= step.kind == StepKind::fold && step.past_caches;
    }
    return folds;
  };
  constexpr std::uint64_t kVector = 12000;
  EXPECT_TRUE(past_caches("direct", 3 * kVector)) << "input, output, and two arrivals";
  EXPECT_FALSE(past_caches("direct", 4 * kVector)) << "fits";
  EXPECT_FALSE(past_caches("direct", 0)) << "not known";
  EXPECT_FALSE(past_caches("two_shot", kVector)) << "the sum is sent on";
}

TEST(Plan, KnowsWhereToDivideAndToMultiply) {
  Fabric fabric(1);
  Builder b(Collective::all_reduce, "test", 0, {.ranks = 1}, 1);
  b.copy(b.input(0), b.output(0));
  const Schedule s = std::move(b).finish();
  const Blocks blocks{.uniform = 10};
  const Plan avg = lowered(s, blocks, blocks, fabric.of(0), DataType::f32, {.kind = ReduceKind::avg});
  EXPECT_EQ(avg.average, (std::vector<Extent>{{0, 10}}));
  EXPECT_EQ(avg.average_in, Buffer::output);
  EXPECT_TRUE(avg.premultiply.empty());
  const Plan premul = lowered(s, blocks, blocks, fabric.of(0), DataType::f32, {.kind = ReduceKind::premul_sum});
  EXPECT_TRUE(premul.average.empty());
  EXPECT_EQ(premul.premultiplied, 10U);
  EXPECT_EQ(premul.scratch_needed(), premul.scratch_bytes + 40);
  EXPECT_GT(premul.memory_bytes(), sizeof(Plan));
}

}  // namespace
}  // namespace tutti
