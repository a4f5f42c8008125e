// Every row, in order on every rank: all ranks always finish, no half of an inbox overflows, and the values are right.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <span>

#include "tests/algorithms/rows.h"
#include "tests/exec/gpu/cases.h"
#include "tests/exec/gpu/simulator.h"

namespace tutti::gpu {
namespace {

constexpr std::uint64_t kPerPiece = 32;  // elements of a block

// All ranks' calls of one case, in `pieces` pieces, one call after the other.
class SimulatedJob {
 public:
  SimulatedJob(const Case& c, std::uint64_t pieces, DataType type = DataType::i32, ReduceOp op = {})
      : c_(c), op_(op), values_(c, pieces == 1 ? 37 : (pieces - 1) * kPerPiece + 5, type, op) {
    cut_ = {.count = values_.count(), .per_piece = kPerPiece, .pieces = pieces};
    if (pieces == 1) cut_.per_piece = values_.count();
    const CollectiveCall call = c.call(values_.count(), type, op);
    for (Rank r = 0; r < c.ranks; ++r) add(r, call);
  }
  std::string run(int times) {
    Simulator simulator;
    for (RankWork& w : work_) {
      const auto once = w.stretches;
      for (int i = 1; i < times; ++i) w.stretches.insert(w.stretches.end(), once.begin(), once.end());
    }
    auto wrong = simulator.run(work_);
    operations_ = simulator.operations();
    return wrong;
  }
  void check() const {
    for (Rank r = 0; r < c_.ranks; ++r) {
      if (!values_.writes(r)) continue;
      const auto expected = values_.expected(r);
      ASSERT_TRUE(
          std::ranges::equal(expected, std::span(work_[static_cast<std::size_t>(r)].buffers.front().output, expected.size())))
          << "rank " << r;
    }
  }
  [[nodiscard]] std::size_t operations() const { return operations_; }
  [[nodiscard]] const Program& program(Rank r) const { return *work_[static_cast<std::size_t>(r)].stretches.front().program; }

 private:
  const Program* program(const CollectiveCall& call, const Schedule& s, std::uint64_t elements) {
    auto plan = plan_of_piece(call, s, cut_, elements);
    EXPECT_TRUE(plan) << plan.error().to_string();
    auto program = program_of(*plan, call, cut_, elements);
    EXPECT_TRUE(program) << program.error().to_string();
    programs_.push_back(std::move(*program));
    return &programs_.back();
  }
  void add(Rank r, const CollectiveCall& call) {
    const Schedule s = c_.schedule(r);
    const Program* full = program(call, s, cut_.per_piece);
    const Program* rest = cut_.rest() == cut_.per_piece ? full : program(call, s, cut_.rest());
    RankWork work;
    for (std::uint64_t j = 0; j < cut_.pieces; ++j)
      work.stretches.push_back({j + 1 < cut_.pieces ? full : rest, j * cut_.per_piece * call.element_bytes()});
    work.scratch.resize(std::max(full->scratch_bytes, rest->scratch_bytes));
    const Values::Place place = values_.place(r);
    memory_.emplace_back(place.size);
    std::byte* base = memory_.back().data();
    work.buffers = {{base + place.input, base + place.output}};
    if (values_.reads(r)) std::ranges::copy(values_.input(r), base + place.input);
    work_.push_back(std::move(work));
  }

  Case c_;
  ReduceOp op_;
  Values values_;
  Cut cut_;
  std::deque<Program> programs_;
  std::deque<std::vector<std::byte>> memory_;
  std::vector<RankWork> work_;
  std::size_t operations_ = 0;
};

void check(const Case& c, std::uint64_t pieces) {
  const testing::ScopedTrace trace(__FILE__, __LINE__, c.text() + ", " + std::to_string(pieces) + " GPU pieces");
  SimulatedJob once(c, pieces);
  ASSERT_EQ(once.run(1), "");
  once.check();
  EXPECT_TRUE(c.ranks == 1 || once.operations() > 0);
}

TEST_P(Row, FinishesInOrderWithRightValues) {
  for (Rank p = 1; p <= 16; ++p)
    for (const Case& c : cases(*GetParam(), p, p <= 9))
      for (const std::uint64_t pieces : {1, 2, 3, 5})
        if (pieces == 1 || c.row->collective != Collective::barrier) check(c, pieces);
}

TEST_P(Row, FinishesInOrderOnManyRanks) {
  for (const Rank p : {24, 33, 64})
    for (const Case& c : cases(*GetParam(), p, false)) check(c, c.row->collective == Collective::barrier ? 1 : 3);
}

// Calls follow each other without anything between: the halves go on in turn.
TEST_P(Row, FollowsItselfWithoutABreak) {
  for (const Rank p : {2, 3, 4, 8})
    for (const Case& c : cases(*GetParam(), p, false))
      for (const std::uint64_t pieces : {1, 2, 3}) {
        if (pieces > 1 && c.row->collective == Collective::barrier) continue;
        const testing::ScopedTrace trace(__FILE__, __LINE__, c.text());
        ASSERT_EQ(SimulatedJob(c, pieces).run(4), "");
      }
}

INSTANTIATE_TEST_SUITE_P(Algorithms, Row, testing::ValuesIn(rows()), row_name);

}  // namespace
}  // namespace tutti::gpu
