// Calls by one rank for all: every collective, on host memory, by the code of the kernel.
#include "gpu/one_pass.h"

#include <gtest/gtest.h>

#include <deque>

#include "tests/exec/gpu/cases.h"
#include "tests/exec/gpu/simulator.h"

namespace tutti::gpu {
namespace {

const Algorithm& any_row(Collective collective) {
  return *std::ranges::find_if(algorithms(), [&](const Algorithm& a) { return a.collective == collective && applies(a, 2); });
}

bool is_done_so(Collective c, Rank ranks, ReduceOp op = {}) { return one_pass_refusal(c, ranks, op).empty(); }

// The same buffers in several calls, one after the other.
void check(const Case& c, std::uint64_t count, DataType type, ReduceOp op) {
  const testing::ScopedTrace trace(__FILE__, __LINE__,
                                   c.text() + ", count " + std::to_string(count) + " of " + std::string(name(type)));
  const Values values(c, count, type, op);
  const CollectiveCall call = c.call(count, type, op);
  std::deque<Program> programs;
  std::deque<std::vector<std::byte>> memory;
  std::vector<RankWork> work;
  for (Rank r = 0; r < c.ranks; ++r) {
    programs.push_back(one_pass_program(r, call));
    const Values::Place place = values.place(r);
    memory.emplace_back(place.size);
    std::byte* base = memory.back().data();
    if (values.reads(r)) std::ranges::copy(values.input(r), base + place.input);
    work.push_back({.stretches = {{&programs.back(), 0}}, .buffers = {{base + place.input, base + place.output}}});
  }
  ASSERT_EQ(Simulator().run(work), "");
  for (Rank r = 0; r < c.ranks; ++r) {
    if (!values.writes(r)) continue;
    const auto expected = values.expected(r);
    ASSERT_TRUE(std::equal(expected.begin(), expected.end(), work[static_cast<std::size_t>(r)].buffers[0].output))
        << "rank " << r;
  }
}

TEST(OnePass, GivesWhatEveryCollectiveGives) {
  for (int k = 0; k < static_cast<int>(Collective::send_recv); ++k) {
    const auto collective = static_cast<Collective>(k);
    for (const Rank p : {1, 2, 3, 4, 5, 8, 15, 16}) {
      if (!is_done_so(collective, p)) continue;
      for (Rank root = 0; root < (has_root(collective) ? p : 1); ++root)
        for (const InPlace in_place : {InPlace::none, InPlace::all, InPlace::every_second}) {
          if (in_place != InPlace::none && one_pass_parts_buffers(collective)) continue;
          Case c;
          c.row = &any_row(collective);
          c.ranks = p;
          c.root = root;
          c.in_place = in_place;
          for (const std::uint64_t count : {0, 1, 3, 77, 1003}) check(c, count, DataType::i32, {});
        }
    }
  }
}

TEST(OnePass, ReducesEveryTypeByEveryOperator) {
  Case c;
  c.row = &any_row(Collective::all_reduce);
  c.ranks = 3;
  for (int t = 0; t < kDataTypes; ++t)
    for (int k = 0; k < kReduceKinds; ++k) {
      const auto type = static_cast<DataType>(t);
      const ReduceOp op{.kind = static_cast<ReduceKind>(k)};
      if (op.kind == ReduceKind::user || !supports(op.kind, type) || !is_done_so(Collective::all_reduce, 3, op)) continue;
      check(c, 101, type, op);
    }
}

TEST(OnePass, ReadsAndWritesWhatMustBeReadAndWritten) {
  const auto bytes = [](Collective collective, Rank ranks) {
    CollectiveCall call;
    call.collective = collective;
    call.ranks = ranks;
    call.count = 10;
    call.type = DataType::f32;
    return one_pass_bytes(call);
  };
  EXPECT_EQ(bytes(Collective::all_reduce, 4), 40U * (4 + 4));
  EXPECT_EQ(bytes(Collective::reduce, 4), 40U * (4 + 1));
  EXPECT_EQ(bytes(Collective::broadcast, 4), 40U * (1 + 4));
  EXPECT_EQ(bytes(Collective::reduce_scatter, 4), 40U * (16 + 4));
  EXPECT_EQ(bytes(Collective::all_gather, 4), 40U * (4 + 16));
  EXPECT_EQ(bytes(Collective::all_to_all, 4), 40U * (16 + 16));
  EXPECT_EQ(bytes(Collective::barrier, 4), 0U);
}

TEST(OnePass, IsRefusedWithAReason) {
  EXPECT_FALSE(is_done_so(Collective::scan, 2));
  EXPECT_FALSE(is_done_so(Collective::send_recv, 2));
  EXPECT_FALSE(is_done_so(Collective::all_reduce, 17));
  EXPECT_FALSE(is_done_so(Collective::all_reduce, 2, {.kind = ReduceKind::premul_sum}));
  EXPECT_TRUE(is_done_so(Collective::all_gather, 2, {.kind = ReduceKind::premul_sum})) << "it does not reduce";
}

}  // namespace
}  // namespace tutti::gpu
