// Types, operators and rounding, and v-variants.
#include <bit>
#include <cmath>

#include "tests/runtime/reference.h"

namespace tutti {
namespace {

// One in all of a type's elements; small enough for every type to hold the results exactly.
template <class T>
void fill(std::span<std::byte> memory, T value) {
  for (std::size_t at = 0; at < memory.size(); at += sizeof(T)) std::memcpy(memory.data() + at, &value, sizeof(T));
}

// The bits of 1 in each type, and of 4.
void fill_number(DataType type, std::span<std::byte> memory, int number) {
  const bool one = number == 1;
  switch (type) {
    case DataType::i8:
    case DataType::u8:
    case DataType::boolean:
      return fill(memory, static_cast<std::uint8_t>(number));
    case DataType::i16:
    case DataType::u16:
      return fill(memory, static_cast<std::uint16_t>(number));
    case DataType::i32:
    case DataType::u32:
      return fill(memory, static_cast<std::uint32_t>(number));
    case DataType::i64:
    case DataType::u64:
      return fill(memory, static_cast<std::uint64_t>(number));
    case DataType::f16:
      return fill(memory, static_cast<std::uint16_t>(one ? 0x3C00 : 0x4400));
    case DataType::bf16:
      return fill(memory, static_cast<std::uint16_t>(one ? 0x3F80 : 0x4080));
    case DataType::f32:
      return fill(memory, static_cast<float>(number));
    case DataType::f64:
      return fill(memory, static_cast<double>(number));
    case DataType::f8e4m3:
      return fill(memory, static_cast<std::uint8_t>(one ? 0x38 : 0x48));
    case DataType::f8e5m2:
      return fill(memory, static_cast<std::uint8_t>(one ? 0x3C : 0x44));
    case DataType::c64:
      return fill(memory, std::array<float, 2>{static_cast<float>(number), 0});
    case DataType::c128:
      return fill(memory, std::array<double, 2>{static_cast<double>(number), 0});
  }
}

// What four ones make.
int four_ones(ReduceKind kind, DataType type) {
  switch (kind) {
    case ReduceKind::sum:
    case ReduceKind::premul_sum:
      return type == DataType::boolean ? 1 : 4;
    case ReduceKind::bxor:
    case ReduceKind::lxor:
      return 0;
    default:
      return 1;
  }
}

TEST(Values, EveryTypeWithEveryOperatorItSupports) {
  run_ranks(4, [](Communicator& comm) {
    constexpr std::size_t kCount = 331;
    for (int t = 0; t < kDataTypes; ++t)
      for (int k = 0; k < static_cast<int>(ReduceKind::user); ++k) {
        const auto type = static_cast<DataType>(t);
        const auto kind = static_cast<ReduceKind>(k);
        const testing::ScopedTrace trace(__FILE__, __LINE__, fmt::format("{} of {}", name(kind), name(type)));
        std::vector<std::byte> in(kCount * size_of(type)), out(in.size(), std::byte{0xEE}), expected(in.size());
        fill_number(type, in, 1);
        const Call call{.collective = Collective::all_reduce,
                        .input = in.data(),
                        .output = out.data(),
                        .count = kCount,
                        .type = type,
                        .op = {.kind = kind}};
        if (!supports(kind, type)) {
          fails(comm.run(call), Code::invalid_argument, {std::string(name(kind)), std::string(name(type)), "is not defined for"});
          continue;
        }
        ok(comm.run(call));
        if (const int n = four_ones(kind, type); n == 0)
          std::ranges::fill(expected, std::byte{0});
        else
          fill_number(type, expected, n);
        EXPECT_EQ(out, expected);
      }
    works(comm);
  });
}

// 256 + 1 is 256 in bf16 (8 bits), so adding ones one by one would be lost: 256 + (1 + 1 + 1) = 259 lies between 258 and 260,
// and the tie goes to the even one.
TEST(Values, SixteenBitFloatsAreRoundedOnce) {
  struct Format {
    DataType type;
    std::uint16_t big, one, sum;
  };
  // f16 (11 bits): 2048 + 1 + 1 + 1 = 2051 lies between 2050 and 2052; the tie goes to 2052. One by one, it would stay 2048.
  for (const Format f : {Format{DataType::bf16, 0x4380, 0x3F80, 0x4382}, Format{DataType::f16, 0x6800, 0x3C00, 0x6802}})
    run_ranks(4, [f](Communicator& comm) {
      std::vector<std::uint16_t> in(100, comm.rank() == 0 ? f.big : f.one), out(100);
      for (const auto* row : {"direct", "two_shot"}) {
        ok(comm.run({.collective = Collective::all_reduce,
                     .input = in.data(),
                     .output = out.data(),
                     .count = in.size(),
                     .type = f.type,
                     .algorithm = row}));
        EXPECT_EQ(out, std::vector<std::uint16_t>(100, f.sum)) << row << " " << name(f.type);
      }
    });
}

TEST(Values, AverageOfIntegersAndFloats) {
  run_ranks(3, [](Communicator& comm) {
    for (const auto collective : {Collective::all_reduce, Collective::reduce, Collective::reduce_scatter})
      for (const Algorithm& a : algorithms()) {
        if (a.collective != collective || a.needs.levels || a.needs.routes != RouteKind::none) continue;
        if (a.needs.even || a.needs.power_of_two) continue;
        const testing::ScopedTrace trace(__FILE__, __LINE__, fmt::format("{} {}", name(collective), a.name));
        for (const bool in_place : {false, true}) {
          std::vector<double> in(30, comm.rank() + 1), out(30, -1);
          const std::size_t count = collective == Collective::reduce_scatter ? 10 : 30;
          double* own =
              in.data() + (collective == Collective::reduce_scatter ? count * static_cast<std::size_t>(comm.rank()) : 0);
          double* to = in_place ? own : out.data();
          ok(comm.run({.collective = collective,
                       .input = in.data(),
                       .output = to,
                       .count = count,
                       .type = DataType::f64,
                       .op = {.kind = ReduceKind::avg},
                       .root = 0,
                       .algorithm = a.name}));
          if (collective == Collective::reduce && comm.rank() != 0) continue;
          EXPECT_EQ(std::vector<double>(to, to + count), std::vector<double>(count, 2.0));
        }
      }
    std::vector<int> numbers{1, -1, 7};
    ok(comm.all_reduce(std::span(numbers), {.kind = ReduceKind::avg}));
    EXPECT_EQ(numbers, (std::vector<int>{1, -1, 7}));
  });
}

// f16 ends at 65504.
TEST(Values, AverageOfSmallFloatsIsRoundedOnceWhereAllMeet) {
  constexpr std::uint16_t k40000 = 0x78E2, k20000 = 0x74E2, kTenth = 0x2E66;
  const auto average = [](Communicator& comm, std::string_view row, std::vector<std::uint16_t> in) {
    std::vector<std::uint16_t> out(in.size());
    ok(comm.run({.collective = Collective::all_reduce,
                 .input = in.data(),
                 .output = out.data(),
                 .count = in.size(),
                 .type = DataType::f16,
                 .op = {.kind = ReduceKind::avg},
                 .algorithm = row}));
    return out;
  };
  run_ranks(2, [&](Communicator& comm) {
    for (const Algorithm& a : algorithms()) {
      if (a.collective != Collective::all_reduce || a.needs.levels || a.needs.routes != RouteKind::none) continue;
      EXPECT_EQ(average(comm, a.name, std::vector<std::uint16_t>(100, k40000)), std::vector<std::uint16_t>(100, k40000))
          << a.name;
    }
  });
  run_ranks(4, [&](Communicator& comm) {
    for (const auto* row : {"direct", "two_shot"}) {
      const auto mixed = average(comm, row, std::vector<std::uint16_t>(100, comm.rank() < 2 ? k40000 : 0));
      EXPECT_EQ(mixed, std::vector<std::uint16_t>(100, k20000)) << row;
      EXPECT_EQ(average(comm, row, std::vector<std::uint16_t>(100, kTenth)), std::vector<std::uint16_t>(100, kTenth)) << row;
    }
  });
}

TEST(Values, PremultipliedSumsUseEachRanksOwnFactor) {
  run_ranks(4, [](Communicator& comm) {
    const ReduceOp op{.kind = ReduceKind::premul_sum, .scalar = comm.rank() + 0.5};
    for (const Algorithm& a : algorithms()) {
      if (!reduces(a.collective) || a.needs.levels || a.needs.routes != RouteKind::none || a.collective == Collective::exscan)
        continue;
      for (const bool in_place : {false, true}) {
        const testing::ScopedTrace trace(__FILE__, __LINE__, fmt::format("{} {} {}", name(a.collective), a.name, in_place));
        const bool scatters = a.collective == Collective::reduce_scatter;
        std::vector<float> in(40, 2), out(40, -1);
        const std::size_t count = scatters ? 10 : 40;
        float* to = !in_place ? out.data() : in.data() + (scatters ? count * static_cast<std::size_t>(comm.rank()) : 0);
        ok(comm.run({.collective = a.collective,
                     .input = in.data(),
                     .output = to,
                     .count = count,
                     .type = DataType::f32,
                     .op = op,
                     .root = 0,
                     .algorithm = a.name}));
        if (!in_place) {
          EXPECT_EQ(in, std::vector<float>(40, 2)) << "the input was changed";
        }
        if (a.collective == Collective::reduce && comm.rank() != 0) continue;
        float expected = 0;
        for (Rank r = 0; r <= (a.collective == Collective::scan ? comm.rank() : 3); ++r)
          expected += 2 * (static_cast<float>(r) + 0.5F);
        EXPECT_EQ(std::vector<float>(to, to + count), std::vector<float>(count, expected));
      }
    }
  });
}

// --- v-variants ---

using Counts = std::vector<std::uint64_t>;

// Block after block with a gap of `gap` elements in between, the blocks in descending order of rank.
Counts scattered(const Counts& counts, std::uint64_t gap) {
  Counts at(counts.size());
  std::uint64_t next = gap;
  for (std::size_t r = counts.size(); r-- > 0; next += counts[r] + gap) at[r] = next;
  return at;
}
std::uint64_t sum(const Counts& counts) {
  std::uint64_t all = 0;
  for (const auto c : counts) all += c;
  return all;
}
Counts uneven(Rank ranks, std::uint64_t unit) {
  Counts counts(static_cast<std::size_t>(ranks));
  for (std::size_t r = 0; r < counts.size(); ++r) counts[r] = r % 3 == 1 ? 0 : (r * r + 1) * unit;
  return counts;
}

struct Layout {
  Counts counts, displacements;
  std::uint64_t total;
};
Layout layout(Rank ranks, std::uint64_t unit, std::uint64_t gap) {
  Layout l{uneven(ranks, unit), {}, 0};
  if (gap > 0) l.displacements = scattered(l.counts, gap);
  l.total = sum(l.counts) + gap * (l.counts.size() + 1);
  return l;
}
std::uint64_t begin_of(const Layout& l, std::size_t block) {
  if (!l.displacements.empty()) return l.displacements[block];
  std::uint64_t at = 0;
  for (std::size_t b = 0; b < block; ++b) at += l.counts[b];
  return at;
}
// What a buffer of this layout should hold; gaps keep their canary.
template <class Element>
std::vector<int> laid_out(const Layout& l, Element element) {
  std::vector<int> memory(l.total, Guarded<int>::canary());
  for (std::size_t b = 0; b < l.counts.size(); ++b)
    for (std::uint64_t i = 0; i < l.counts[b]; ++i) memory[begin_of(l, b) + i] = element(static_cast<Rank>(b), i);
  return memory;
}
// Element i of the block that goes from one rank to another.
int element(Rank from, Rank to, std::uint64_t i) { return from * 100000 + to * 10000 + static_cast<int>(i % 9973); }

class Variants : public testing::TestWithParam<std::tuple<Collective, std::uint64_t, std::uint64_t>> {};

void run_variant(Communicator& comm, const Algorithm& a, std::uint64_t unit, std::uint64_t gap) {
  const testing::ScopedTrace trace(__FILE__, __LINE__, std::string(a.name));
  const Rank me = comm.rank(), p = comm.size(), root = p - 1;
  const auto own = static_cast<std::size_t>(me);
  const Layout l = layout(p, unit, gap);
  const auto canary = Guarded<int>::canary();
  Call call{.collective = a.collective, .type = DataType::i32, .root = root, .algorithm = a.name};
  std::vector<int> in, out, expected;
  switch (a.collective) {
    case Collective::all_gather:
    case Collective::gather:
      for (std::uint64_t i = 0; i < l.counts[own]; ++i) in.push_back(element(me, 0, i));
      out.assign(l.total, canary);
      expected = laid_out(l, [](Rank b, std::uint64_t i) { return element(b, 0, i); });
      if (a.collective == Collective::gather && me != root) expected = out;
      call.count = l.counts[own];
      call.output_counts = l.counts;
      call.output_displacements = l.displacements;
      break;
    case Collective::reduce_scatter:
    case Collective::scatter: {
      const bool reduce = a.collective == Collective::reduce_scatter;
      in = laid_out(l, [&](Rank b, std::uint64_t i) { return element(me, b, i); });
      out.assign(l.counts[own] + 5, canary);
      expected = out;
      for (std::uint64_t i = 0; i < l.counts[own]; ++i) {
        expected[i] = reduce ? 0 : element(root, me, i);
        for (Rank r = 0; reduce && r < p; ++r) expected[i] += element(r, me, i);
      }
      call.count = l.counts[own];
      call.input_counts = l.counts;
      call.input_displacements = l.displacements;
      break;
    }
    default:
      break;
  }
  const std::vector<int> before = in;
  call.input = in.data();
  call.output = out.data();
  ok(comm.run(call));
  EXPECT_EQ(in, before) << "the input was changed";
  EXPECT_TRUE(out == expected);
}

TEST_P(Variants, UnevenAndEmptyBlocksWithGapsThatStayUntouched) {
  const auto [collective, unit, gap] = GetParam();
  for (const Rank p : {2, 5})
    run_ranks(p, [=](Communicator& comm) {
      for (const Algorithm& a : algorithms()) {
        if (a.collective != collective || a.needs.levels || a.needs.routes != RouteKind::none || a.needs.equal_blocks ||
            (a.needs.even && p % 2 != 0))
          continue;
        run_variant(comm, a, unit, gap);
      }
    });
}
INSTANTIATE_TEST_SUITE_P(Collectives, Variants,
                         testing::Combine(testing::Values(Collective::all_gather, Collective::gather, Collective::reduce_scatter,
                                                          Collective::scatter),
                                          testing::Values(1, 9000), testing::Values(0, 3)),
                         [](const auto& made) {
                           return fmt::format("{}_{}_{}", name(std::get<0>(made.param)), std::get<1>(made.param),
                                              std::get<2>(made.param));
                         });

// Rank r sends (r + 2d) % 5 * unit elements to rank d: every pair differs, and some send nothing.
TEST(Values, AllToAllWithADifferentCountForEveryPair) {
  for (const Rank p : {2, 4, 5})
    for (const std::uint64_t unit : {1, 4000})
      run_ranks(p, [=](Communicator& comm) {
        const Rank me = comm.rank();
        const auto count = [&](Rank from, Rank to) { return static_cast<std::uint64_t>((from + 2 * to) % 5) * unit; };
        Layout in{{}, {}, 0}, out{{}, {}, 0};
        for (Rank r = 0; r < p; ++r) {
          in.counts.push_back(count(me, r));
          out.counts.push_back(count(r, me));
        }
        in.displacements = scattered(in.counts, 2);
        out.displacements = scattered(out.counts, 3);
        in.total = sum(in.counts) + 2 * (in.counts.size() + 1);
        out.total = sum(out.counts) + 3 * (out.counts.size() + 1);
        const auto input = laid_out(in, [&](Rank to, std::uint64_t i) { return element(me, to, i); });
        const auto expected = laid_out(out, [&](Rank from, std::uint64_t i) { return element(from, me, i); });
        for (const Algorithm& a : algorithms()) {
          if (a.collective != Collective::all_to_all) continue;
          const testing::ScopedTrace trace(__FILE__, __LINE__, std::string(a.name));
          std::vector<int> output(out.total, Guarded<int>::canary());
          auto s = comm.run({.collective = Collective::all_to_all,
                             .input = input.data(),
                             .output = output.data(),
                             .type = DataType::i32,
                             .input_counts = in.counts,
                             .input_displacements = in.displacements,
                             .output_counts = out.counts,
                             .output_displacements = out.displacements,
                             .algorithm = a.name});
          if (a.needs.equal_blocks) {
            fails(std::move(s), Code::invalid_argument, {"needs blocks of one size"});
            continue;
          }
          ok(s);
          EXPECT_TRUE(output == expected);
        }
      });
}

TEST(Values, NamedFunctionsOfTheVariants) {
  run_ranks(3, [](Communicator& comm) {
    const Counts counts{2, 0, 3};
    const auto own = counts[static_cast<std::size_t>(comm.rank())];
    const std::vector<int> mine(own, comm.rank());
    const std::vector<int> all{0, 0, 2, 2, 2};
    std::vector<int> gathered(5, -1), part(own, -1);
    ok(comm.all_gatherv(std::span(mine), std::span(gathered), counts));
    EXPECT_EQ(gathered, all);
    std::vector<int> at_root(comm.rank() == 1 ? 5 : 0, -1);
    ok(comm.gatherv(std::span(mine), std::span(at_root), counts, 1));
    if (comm.rank() == 1) {
      EXPECT_EQ(at_root, all);
    }
    ok(comm.scatterv(std::span<const int>(at_root), std::span(part), counts, 1));
    EXPECT_EQ(part, mine);
    ok(comm.reduce_scatterv(std::span(all), std::span(part), counts));
    EXPECT_EQ(part, std::vector<int>(own, 3 * comm.rank()));
    const Counts ones{1, 1, 1};
    const std::vector<int> to_each{10 + comm.rank(), 20 + comm.rank(), 30 + comm.rank()};
    std::vector<int> from_each(3);
    ok(comm.all_to_allv(std::span(to_each), ones, std::span(from_each), ones));
    const int base = 10 * (comm.rank() + 1);
    EXPECT_EQ(from_each, (std::vector<int>{base, base + 1, base + 2}));
  });
}

}  // namespace
}  // namespace tutti
