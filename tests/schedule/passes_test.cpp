#include "schedule/passes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "../verify/samples.h"
#include "verify/verify.h"

namespace tutti {
namespace {

std::size_t count(const Schedule& s, StepKind kind) {
  return static_cast<std::size_t>(
      std::count_if(s.steps.begin(), s.steps.end(), [&](const Step& step) { return step.kind == kind; }));
}

TEST(Fuse, makes_one_fold_of_a_chain_of_reductions) {
  auto ranks = samples::all_ranks(samples::direct_all_reduce, {.ranks = 4});
  for (Schedule& s : ranks) {
    s = fuse(s);
    EXPECT_EQ(count(s, StepKind::reduce), 0U);
    ASSERT_EQ(count(s, StepKind::fold), 1U);
    const auto fold = std::find_if(s.steps.begin(), s.steps.end(), [](const Step& step) { return step.kind == StepKind::fold; });
    EXPECT_EQ(fold->operand_end - fold->operand_begin, 4U);
  }
  const auto proof = verify(ranks, {.ordered = true});
  EXPECT_TRUE(proof) << proof.error().to_string();
}

TEST(Fuse, keeps_the_order_of_left_reductions) {
  Builder b(Collective::all_reduce, "x", 0, {.ranks = 2}, 1);
  const Slice x = b.scratch_like(b.input(0)), y = b.scratch_like(b.input(0)), z = b.scratch_like(b.input(0));
  b.copy(b.input(0), b.output(0));
  b.reduce(x, b.output(0));
  b.reduce_left(y, b.output(0));
  b.reduce(z, b.output(0));
  const Schedule s = fuse(std::move(b).finish());
  ASSERT_EQ(s.steps.size(), 1U);
  EXPECT_EQ(s.operands, (std::vector<Slice>{y, {Buffer::input, 0, 1}, x, z}));
}

TEST(Fuse, reduces_on_arrival) {
  auto ranks = samples::all_ranks(samples::ring_all_reduce, {.ranks = 4});
  const std::size_t before = ranks[0].steps.size();
  for (Schedule& s : ranks) s = fuse(s);
  EXPECT_EQ(count(ranks[0], StepKind::recv_reduce), 3U);
  EXPECT_EQ(count(ranks[0], StepKind::reduce), 0U);
  EXPECT_EQ(ranks[0].steps.size(), before - 3);
  EXPECT_TRUE(verify(ranks));
}

// Both ranks would post their receives only after their sends are through, which wait for the other's receive.
TEST(Fuse, does_not_reduce_on_arrival_behind_a_send) {
  const auto build = [](Rank me, const Shape& shape) {
    Builder b(Collective::all_reduce, "exchange", me, shape, 1);
    const Slice arrived = b.scratch_like(b.output(0));
    b.copy(b.input(0), b.output(0));
    b.send(b.output(0), 1 - me);
    b.recv(1 - me, arrived);
    b.reduce(arrived, b.output(0));
    return std::move(b).finish();
  };
  auto ranks = samples::all_ranks(build, {.ranks = 2});
  ASSERT_TRUE(verify(ranks));
  for (Schedule& s : ranks) s = fuse(s);
  EXPECT_EQ(count(ranks[0], StepKind::recv_reduce), 0U);
  EXPECT_TRUE(verify(ranks));
}

TEST(Fuse, leaves_values_alone_that_others_use) {
  Builder b(Collective::all_reduce, "x", 0, {.ranks = 2}, 1);
  const Slice x = b.scratch_like(b.input(0)), y = b.scratch_like(b.input(0));
  b.recv(1, x);
  b.copy(b.input(0), b.output(0));
  b.reduce(x, b.output(0));
  b.send(b.output(0), 1);  // of the sum so far
  b.recv(1, y, 1);
  b.reduce(y, b.output(0));
  const Schedule s = fuse(std::move(b).finish());
  EXPECT_EQ(count(s, StepKind::fold), 0U);
  EXPECT_EQ(count(s, StepKind::send), 1U);
}

TEST(Fuse, prints_and_reads_back) {
  // Two chains side by side, the first to begin being the last to end.
  Builder b(Collective::all_reduce, "x", 0, {.ranks = 2}, 2);
  const Slice x = b.scratch_like(b.input(0, 2)), y = b.scratch_like(b.input(0, 2));
  const auto part = [](const Slice& s, std::uint32_t i) { return Slice{s.buffer, s.chunk + i, 1}; };
  b.copy(b.input(0), b.output(0));
  b.reduce(part(x, 0), b.output(0));
  b.copy(b.input(1), b.output(1));
  b.reduce(part(x, 1), b.output(1));
  b.reduce(part(y, 1), b.output(1));
  b.reduce(part(y, 0), b.output(0));
  const Schedule s = fuse(std::move(b).finish());
  ASSERT_EQ(count(s, StepKind::fold), 2U);
  const auto parsed = parse_schedules(print(s));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->front(), s) << print(s);
}

}  // namespace
}  // namespace tutti
