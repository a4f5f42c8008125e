// The data of `tutti perf` is right for any number of ranks and any order in which they are combined, and wrong results are
// noticed.
#include "cli/perf_data.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "kernels/kernels.h"

namespace tutti {
namespace {

using Data = std::vector<std::byte>;

constexpr std::uint64_t kLong = 10007;   // elements: more than two periods of the data
constexpr std::uint64_t kPeriod = 4099;  // blocks of this size must differ all the same

Data input_of(PerfCase c, Rank rank) {
  c.me = rank;
  Data input(c.input_count() * size_of(c.type));
  fill_input(c, input.data());
  return input;
}

Data block_of(const PerfCase& c, const Data& data, Rank block) {
  const auto bytes = static_cast<std::ptrdiff_t>(c.count * size_of(c.type));
  return {data.begin() + block * bytes, data.begin() + (block + 1) * bytes};
}

// Inputs combined by halves, the upper ranks first: another order than any reference would take.
Data combine(const PerfCase& c, Rank first, Rank end, Rank block) {
  if (end - first == 1) {
    Data data = block_of(c, input_of(c, first), block);
    if (c.op.kind == ReduceKind::premul_sum) kernels::prepare(c.op, c.type, data.data(), data.data(), c.count);
    return data;
  }
  const Rank middle = first + (end - first) / 3 + 1;
  const Data upper = combine(c, middle, end, block), lower = combine(c, first, middle, block);
  Data sum(upper.size());
  kernels::reduce2(c.op, c.type, upper.data(), lower.data(), sum.data(), c.count);
  return sum;
}

Data reduced(const PerfCase& c, Rank end, Rank block = 0) {
  Data data = combine(c, 0, end, block);
  kernels::finish(c.op, c.type, data.data(), c.count, c.ranks);
  return data;
}

// Right data passes; one element changed is one wrong element, wherever it is.
void expect_bites(const PerfCase& c, Data output) {
  ASSERT_EQ(output.size(), c.output_count() * size_of(c.type));
  EXPECT_EQ(count_wrong(c, output.data()), 0u);
  for (const std::size_t at : {std::size_t{0}, output.size() / 2, output.size() - 1}) {
    output[at] ^= std::byte{1};
    EXPECT_EQ(count_wrong(c, output.data()), 1u) << "byte " << at;
    output[at] ^= std::byte{1};
  }
}

std::vector<ReduceOp> operators_of(DataType type) {
  std::vector<ReduceOp> all;
  for (int k = 0; k < static_cast<int>(ReduceKind::user); ++k)
    if (const auto kind = static_cast<ReduceKind>(k); supports(kind, type))
      all.push_back({.kind = kind, .scalar = kind == ReduceKind::premul_sum ? 2.0 : 1.0, .user = {}});
  return all;
}

void every_type_and_operator(Rank ranks, std::uint64_t count) {
  for (int t = 0; t < kDataTypes; ++t)
    for (const ReduceOp& op : operators_of(static_cast<DataType>(t))) {
      const auto type = static_cast<DataType>(t);
      SCOPED_TRACE(testing::Message() << name(op.kind) << " of " << name(type) << ", " << ranks << " ranks");
      const PerfCase c{.collective = Collective::all_reduce, .type = type, .op = op, .count = count, .ranks = ranks};
      expect_bites(c, reduced(c, ranks));
    }
}

TEST(PerfData, NoOrderOfRanksRounds) {
  for (const Rank ranks : {1, 2, 3, 5, 8, 13}) every_type_and_operator(ranks, 97);
  every_type_and_operator(3, kLong);
}

TEST(PerfData, ThousandsOfRanks) {
  for (const Rank ranks : {1024, 1031}) every_type_and_operator(ranks, 5);
}

TEST(PerfData, EveryReductionOnEveryRank) {
  for (const Rank me : {0, 1, 4}) {
    PerfCase c{.op = {}, .count = kLong, .me = me, .ranks = 5};
    c.collective = Collective::reduce_scatter;
    expect_bites(c, reduced(c, 5, me));
    c.collective = Collective::scan;
    expect_bites(c, reduced(c, me + 1));
    c.collective = Collective::exscan;
    if (me > 0) expect_bites(c, reduced(c, me));
    c.collective = Collective::reduce;
    c.root = me;
    expect_bites(c, reduced(c, 5));
  }
}

TEST(PerfData, EveryMoveOnEveryRank) {
  for (int t = 0; t < kDataTypes; ++t)
    for (const Rank me : {0, 2}) {
      PerfCase c{.type = static_cast<DataType>(t), .op = {}, .root = 1, .count = kLong, .me = me, .ranks = 3};
      SCOPED_TRACE(testing::Message() << name(c.type) << " on rank " << me);
      c.collective = Collective::broadcast;
      expect_bites(c, input_of(c, 1));
      c.collective = Collective::scatter;
      expect_bites(c, block_of(c, input_of(c, 1), me));
      c.collective = Collective::send_recv;
      expect_bites(c, input_of(c, (me + 2) % 3));
      Data all;
      c.collective = Collective::all_gather;
      for (Rank r = 0; r < 3; ++r) {
        const Data block = input_of(c, r);
        all.insert(all.end(), block.begin(), block.end());
      }
      expect_bites(c, all);
      c.collective = Collective::all_to_all;
      for (Rank r = 0; r < 3; ++r) std::ranges::copy(block_of(c, input_of(c, r), me), all.begin() + r * std::ssize(all) / 3);
      expect_bites(c, all);
    }
}

TEST(PerfData, BlocksInTheWrongPlaceAreNoticed) {
  for (const std::uint64_t count : {std::uint64_t{4096}, kPeriod, 3 * kPeriod}) {
    PerfCase c{.collective = Collective::all_gather, .op = {}, .count = count, .ranks = 2};
    Data swapped = input_of(c, 1);
    const Data first = input_of(c, 0);
    swapped.insert(swapped.end(), first.begin(), first.end());
    EXPECT_GT(count_wrong(c, swapped.data()), count);
    c.collective = Collective::all_to_all;
    Data mine = input_of(c, 0);
    EXPECT_GT(count_wrong(c, mine.data()), count / 2) << "nothing was sent";
    c.collective = Collective::reduce_scatter;
    EXPECT_GT(count_wrong(c, reduced(c, 2, 1).data()), count / 4) << "rank 1's block";
  }
}

TEST(PerfData, DataShiftedByAPageOrAPieceIsNoticed) {
  const PerfCase c{.collective = Collective::all_reduce, .op = {}, .count = 1 << 16, .ranks = 4};
  const Data right = reduced(c, 4);
  for (const std::size_t shift : {std::size_t{4}, std::size_t{64}, std::size_t{4096}, right.size() / 4, right.size() / 2}) {
    Data shifted = right;
    std::ranges::rotate(shifted, shifted.begin() + static_cast<std::ptrdiff_t>(shift));
    EXPECT_GT(count_wrong(c, shifted.data()), c.count / 4) << "shifted by " << shift;
  }
}

}  // namespace
}  // namespace tutti
