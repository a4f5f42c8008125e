#include <gtest/gtest.h>

#include <random>

#include "tutti/schedule.h"

namespace tutti {
namespace {

std::vector<std::uint32_t> dependencies(const Schedule& s, std::size_t step) {
  const auto d = s.dependencies(step);
  return {d.begin(), d.end()};
}
using Steps = std::vector<std::uint32_t>;

TEST(Builder, orders_reads_and_writes_of_a_chunk) {
  Builder b(Collective::all_reduce, "x", 0, {.ranks = 4}, 2);
  b.copy(b.input(0), b.output(0));  // 0
  b.send(b.output(0), 1);           // 1 reads what 0 wrote
  b.send(b.output(0), 2);           // 2 does, too, and does not wait for 1
  b.recv(3, b.output(0));           // 3 overwrites what 1 and 2 read and 0 wrote
  b.recv(3, b.output(1));           // 4 has nothing to do with them
  b.send(b.output(0, 2), 3);        // 5 reads both
  const Schedule s = std::move(b).finish();
  EXPECT_EQ(dependencies(s, 0), Steps{});
  EXPECT_EQ(dependencies(s, 1), Steps{0});
  EXPECT_EQ(dependencies(s, 2), Steps{0});
  EXPECT_EQ(dependencies(s, 3), (Steps{0, 1, 2}));
  EXPECT_EQ(dependencies(s, 4), Steps{});
  EXPECT_EQ(dependencies(s, 5), (Steps{3, 4}));
}

TEST(Builder, orders_parts_of_wider_slices) {
  Builder b(Collective::all_reduce, "x", 0, {.ranks = 2}, 8);
  b.recv(1, b.output(0, 8));     // 0
  b.send(b.output(2, 2), 1);     // 1
  b.recv(1, b.output(3, 3), 1);  // 2 overlaps 1 in chunk 3
  b.send(b.output(2), 1);        // 3 is left of 2
  b.send(b.output(0, 8), 1);     // 4
  const Schedule s = std::move(b).finish();
  EXPECT_EQ(dependencies(s, 1), Steps{0});
  EXPECT_EQ(dependencies(s, 2), (Steps{0, 1}));
  EXPECT_EQ(dependencies(s, 3), Steps{0});
  EXPECT_EQ(dependencies(s, 4), (Steps{0, 2}));
}

TEST(Builder, orders_a_reduction_as_a_reader_and_a_writer) {
  Builder b(Collective::all_reduce, "x", 0, {.ranks = 2}, 1);
  const Slice arrived = b.scratch_like(b.input(0));
  b.copy(b.input(0), b.output(0));  // 0
  b.recv(1, arrived);               // 1
  b.reduce(arrived, b.output(0));   // 2
  b.recv(1, arrived);               // 3
  const Schedule s = std::move(b).finish();
  EXPECT_EQ(dependencies(s, 2), (Steps{0, 1}));
  EXPECT_EQ(dependencies(s, 3), (Steps{1, 2}));
}

// Against the definition: an edge (or a chain of edges) between any two steps that conflict, and no edge between others.
TEST(Builder, agrees_with_all_pairs_on_random_steps) {
  std::mt19937_64 random(6);
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  for (int round = 0; round < 200; ++round) {
    Schedule s;
    s.ranks = 2;
    const std::uint32_t wide = round % 2 == 0 ? 1 : 100'000'000;  // far more chunks than slices
    const auto slice = [&] { return Slice{static_cast<Buffer>(below(2)), wide * below(12), wide * (1 + below(4))}; };
    for (int i = 0; i < 25; ++i) {
      const Step steps[] = {{.kind = StepKind::send, .peer = 1, .from = slice()},
                            {.kind = StepKind::recv, .peer = 1, .to = slice()},
                            {.kind = StepKind::copy, .from = slice(), .to = slice()},
                            {.kind = StepKind::reduce, .from = slice(), .to = slice()}};
      s.steps.push_back(steps[below(4)]);
    }
    derive_dependencies(s);
    const auto reads = [&](const Step& a, const Slice& of) {
      return (a.kind != StepKind::recv && a.from.overlaps(of)) || (a.kind == StepKind::reduce && a.to.overlaps(of));
    };
    const auto conflict = [&](const Step& a, const Step& b) {
      const bool a_writes = a.kind != StepKind::send, b_writes = b.kind != StepKind::send;
      return (a_writes && (reads(b, a.to) || (b_writes && a.to.overlaps(b.to)))) || (b_writes && reads(a, b.to));
    };
    std::vector<std::vector<bool>> before(s.steps.size(), std::vector<bool>(s.steps.size()));
    for (std::size_t i = 0; i < s.steps.size(); ++i) {
      for (const auto d : s.dependencies(i)) {
        EXPECT_TRUE(conflict(s.steps[d], s.steps[i])) << d << " " << i;
        before[i][d] = true;
        for (std::size_t e = 0; e < d; ++e) before[i][e] = before[i][e] || before[d][e];
      }
      for (std::size_t e = 0; e < i; ++e) EXPECT_TRUE(before[i][e] || !conflict(s.steps[e], s.steps[i])) << e << " " << i;
    }
  }
}

TEST(Builder, gives_scratch_the_size_of_what_it_stands_for) {
  Builder gather(Collective::gather, "x", 2, {.ranks = 4}, 3);
  (void)gather.scratch_like(gather.input(1, 2));       // the own block's
  (void)gather.scratch_like({Buffer::output, 9, 2});   // the root's output, which this rank lacks
  (void)gather.scratch_like({Buffer::scratch, 1, 2});  // of scratch: what that stands for
  EXPECT_EQ(std::move(gather).finish().scratch, (ChunkList{7, 8, 9, 10, 8, 9}));
  Builder scatter(Collective::reduce_scatter, "x", 2, {.ranks = 4}, 3);
  (void)scatter.scratch_like(scatter.output(0, 2));
  (void)scatter.scratch_like(scatter.input(0));
  EXPECT_EQ(std::move(scatter).finish().scratch, (ChunkList{6, 7, 0}));
  Builder all(Collective::all_to_all, "x", 2, {.ranks = 4}, 1);
  (void)all.scratch_like(all.input(3));
  (void)all.scratch_like(all.output(3));
  EXPECT_EQ(std::move(all).finish().scratch, (ChunkList{3, 7}));
}

struct InPlace {
  Collective collective;
  Rank me;
  Slice input, output;  // what input(1) and output(1) are, in place on rank `me` of 3 with root 1 and 2 chunks a block
};
class BuilderInPlace : public testing::TestWithParam<InPlace> {};
TEST_P(BuilderInPlace, names_shared_memory_once) {
  const auto& [collective, me, input, output] = GetParam();
  Builder b(collective, "x", me, {.ranks = 3, .root = 1, .in_place = true}, 2);
  EXPECT_EQ(b.input(1), input);
  EXPECT_EQ(b.output(1), output);
}
constexpr Slice in(std::uint32_t c) { return {Buffer::input, c, 1}; }
constexpr Slice out(std::uint32_t c) { return {Buffer::output, c, 1}; }
INSTANTIATE_TEST_SUITE_P(
    All, BuilderInPlace,
    testing::Values(InPlace{Collective::all_reduce, 2, out(1), out(1)}, InPlace{Collective::scan, 2, out(1), out(1)},
                    InPlace{Collective::reduce, 1, out(1), out(1)}, InPlace{Collective::reduce, 2, in(1), out(1)},
                    InPlace{Collective::broadcast, 1, out(1), out(1)}, InPlace{Collective::all_gather, 2, out(5), out(1)},
                    InPlace{Collective::gather, 1, out(3), out(1)}, InPlace{Collective::gather, 2, in(1), out(1)},
                    InPlace{Collective::reduce_scatter, 2, in(1), in(5)}, InPlace{Collective::scatter, 1, in(1), in(3)},
                    InPlace{Collective::scatter, 2, in(1), out(1)},
                    InPlace{Collective::all_to_all, 2, {Buffer::scratch, 1, 1}, out(1)}));

TEST(Builder, drops_copies_onto_themselves) {
  Builder b(Collective::all_reduce, "x", 0, {.ranks = 2, .in_place = true}, 2);
  b.copy(b.input(0, 2), b.output(0, 2));
  EXPECT_TRUE(std::move(b).finish().steps.empty());
}

TEST(Grouping, numbers_groups_by_their_lowest_rank) {
  const Grouping g({7, 3, 7, 3, 9});
  EXPECT_EQ(g.groups(), 3);
  EXPECT_EQ(g.group_of(0), 0);
  EXPECT_EQ(g.group_of(3), 1);
  EXPECT_EQ(g.group_of(4), 2);
  EXPECT_EQ(g.index_in_group(2), 1);
  EXPECT_EQ(std::vector<Rank>(g.members(1).begin(), g.members(1).end()), (std::vector<Rank>{1, 3}));
  EXPECT_EQ(g.leader(2), 4);
}

TEST(Schedule, has_the_documented_numbers_of_chunks) {
  EXPECT_EQ(input_chunks(Collective::all_reduce, 4, 3), 3U);
  EXPECT_EQ(output_chunks(Collective::all_reduce, 4, 3), 3U);
  EXPECT_EQ(input_chunks(Collective::all_gather, 4, 3), 3U);
  EXPECT_EQ(output_chunks(Collective::all_gather, 4, 3), 12U);
  EXPECT_EQ(input_chunks(Collective::reduce_scatter, 4, 3), 12U);
  EXPECT_EQ(output_chunks(Collective::reduce_scatter, 4, 3), 3U);
  EXPECT_EQ(input_chunks(Collective::all_to_all, 4, 3), 12U);
  EXPECT_EQ(output_chunks(Collective::all_to_all, 4, 3), 12U);
}

}  // namespace
}  // namespace tutti
