// Every operator on every type, on every instruction set, against a reference of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include <array>
#include <limits>
#include <string>
#include <vector>

#include "instruction_sets.h"
#include "kernels/kernels.h"
#include "reference.h"

namespace tutti::test {
namespace {

class Reduction : public EveryInstructionSet {};
INSTANTIATE_TEST_SUITE_P(On, Reduction, testing::ValuesIn(instruction_sets()), instruction_set_name);

std::string label(ReduceKind kind, DataType type) { return std::string(name(kind)) + " of " + std::string(name(type)); }

TEST_P(Reduction, FoldsAnyNumberOfInputsRoundingOnce) {
  constexpr std::size_t kCount = 301;
  for (const DataType type : all_types()) {
    const std::vector<Buffer> all = make_inputs(type, 33, kCount);
    const std::vector<const void*> pointers = addresses(all);
    for (const ReduceKind kind : built_in_kinds()) {
      if (!supports(kind, type)) continue;
      for (const std::size_t inputs : {2, 3, 8, 9, 33}) {
        Buffer out(kCount * size_of(type));
        kernels::fold({.kind = kind}, type, std::span(pointers).first(inputs), out.data(), kCount);
        const Buffer expected = reference_fold(kind, type, std::span(all).first(inputs));
        ASSERT_EQ(first_difference(type, out.data(), expected.data(), kCount), -1)
            << label(kind, type) << ", " << inputs << " inputs";
      }
    }
  }
}

TEST_P(Reduction, ReducesTwo) {
  constexpr std::size_t kCount = 1000;
  for (const DataType type : all_types()) {
    const std::vector<Buffer> in = make_inputs(type, 2, kCount);
    for (const ReduceKind kind : built_in_kinds()) {
      if (!supports(kind, type)) continue;
      Buffer out(kCount * size_of(type));
      kernels::reduce2({.kind = kind}, type, in[0].data(), in[1].data(), out.data(), kCount);
      const Buffer expected = reference_fold(kind, type, in);
      ASSERT_EQ(first_difference(type, out.data(), expected.data(), kCount), -1) << label(kind, type);
    }
  }
}

TEST_P(Reduction, EveryPairOfBytes) {
  for (const DataType type : {DataType::i8, DataType::u8, DataType::f8e4m3, DataType::f8e5m2, DataType::boolean}) {
    std::vector<Buffer> in(2);
    for (int i = 0; i < 65536; ++i) {
      in[0].push_back(static_cast<std::byte>(i));
      in[1].push_back(static_cast<std::byte>(i >> 8));
    }
    for (const ReduceKind kind : built_in_kinds()) {
      if (!supports(kind, type)) continue;
      Buffer out(65536);
      kernels::reduce2({.kind = kind}, type, in[0].data(), in[1].data(), out.data(), 65536);
      ASSERT_EQ(first_difference(type, out.data(), reference_fold(kind, type, in).data(), 65536), -1) << label(kind, type);
    }
  }
}

// What two f16 or bf16 can meet: zeros, subnormals, the smallest and the largest normal numbers, infinity, a NaN, numbers whose
// units in the last place halve each other's (ties) and lie further apart; all with both signs.
std::vector<std::uint16_t> special_codes(DataType type) {
  const int mantissa_bits = type == DataType::f16 ? 10 : 7;
  const auto normal = static_cast<std::uint16_t>(1 << mantissa_bits);
  const auto infinity = static_cast<std::uint16_t>(0x7fff & ~(normal - 1));
  const auto one = static_cast<std::uint16_t>(infinity / 2 & ~(normal - 1));
  std::vector<std::uint16_t> codes{0, 1, 3, normal, infinity, one};
  for (const int code : {normal - 1, normal + 1, infinity - 1, infinity | normal / 2, one + 1, one + normal / 2})
    codes.push_back(static_cast<std::uint16_t>(code));
  for (const int exponents : {mantissa_bits, mantissa_bits + 1, mantissa_bits + 2})
    codes.push_back(static_cast<std::uint16_t>(one - exponents * normal));
  for (std::size_t i = 0, positive = codes.size(); i < positive; ++i) codes.push_back(codes[i] | 0x8000);
  return codes;
}

// Two inputs: all codes on the left, beside one special code after the other.
std::vector<Buffer> all_codes_with_special_ones(DataType type) {
  std::vector<std::uint16_t> left, right;
  for (const std::uint16_t special : special_codes(type)) {
    for (int code = 0; code < 65536; ++code) {
      left.push_back(static_cast<std::uint16_t>(code));
      right.push_back(special);
    }
  }
  const auto bytes = [](const std::vector<std::uint16_t>& codes) {
    const auto* begin = reinterpret_cast<const std::byte*>(codes.data());
    return Buffer(begin, begin + 2 * codes.size());
  };
  return {bytes(left), bytes(right)};
}

// On every instruction set in one test, because the reference takes longest.
TEST(SixteenBitFloats, EveryCodeWithSpecialOnes) {
  for (const DataType type : {DataType::f16, DataType::bf16}) {
    const std::vector<Buffer> in = all_codes_with_special_ones(type);
    const std::size_t count = in[0].size() / 2;
    for (const ReduceKind kind : {ReduceKind::sum, ReduceKind::prod}) {
      const Buffer expected = reference_fold(kind, type, in);
      for (const InstructionSet& set : instruction_sets()) {
        allow(set.mask);
        Buffer out(in[0].size());
        kernels::reduce2({.kind = kind}, type, in[0].data(), in[1].data(), out.data(), count);
        const auto at = first_difference(type, out.data(), expected.data(), count);
        EXPECT_EQ(at, -1) << label(kind, type) << " on " << set.name;
      }
      allow(0);
    }
  }
}

// The native f16 of two, where there is one, rounds once like all others; so must more than two, where it may not be used.
TEST_P(Reduction, ThirdSixteenBitFloatIsAddedBeforeRounding) {
  // 2048 + 1 + 1 and 256 + 1 + 1: the units in the last place are 2.
  const auto sum = [](DataType type, std::array<std::uint16_t, 3> codes) {
    std::uint16_t out = 0;
    kernels::fold({}, type, std::array<const void*, 3>{&codes[0], &codes[1], &codes[2]}, &out, 1);
    return out;
  };
  EXPECT_EQ(sum(DataType::f16, {0x6800, 0x3c00, 0x3c00}), 0x6801);
  EXPECT_EQ(sum(DataType::bf16, {0x4380, 0x3f80, 0x3f80}), 0x4381);
}

#ifdef __SSE__
// A host program may flush subnormal numbers to zero in its own arithmetic. f16's are none in f32, and what
// computes in f16 (AVX512-FP16) heeds neither mode.
TEST_P(Reduction, HalfKeepsSubnormalNumbersWhereTheHostFlushesThem) {
  const std::vector<Buffer> in = all_codes_with_special_ones(DataType::f16);
  const std::size_t count = in[0].size() / 2;
  for (const ReduceKind kind : {ReduceKind::sum, ReduceKind::prod}) {
    Buffer expected(in[0].size()), out(in[0].size());
    kernels::reduce2({.kind = kind}, DataType::f16, in[0].data(), in[1].data(), expected.data(), count);
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);  // flush to zero, denormals are zero
    kernels::reduce2({.kind = kind}, DataType::f16, in[0].data(), in[1].data(), out.data(), count);
    _mm_setcsr(before);
    EXPECT_EQ(first_difference(DataType::f16, out.data(), expected.data(), count), -1) << label(kind, DataType::f16);
  }
}
#endif

TEST_P(Reduction, MinAndMaxPropagateNanAndOrderZeros) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> left{kNan, 1, 0.0F, -0.0F, -0.0F, 2};
  const std::vector<float> right{1, kNan, -0.0F, 0.0F, -0.0F, -3};
  std::vector<float> low(6), high(6);
  kernels::reduce2({.kind = ReduceKind::min}, DataType::f32, left.data(), right.data(), low.data(), 6);
  kernels::reduce2({.kind = ReduceKind::max}, DataType::f32, left.data(), right.data(), high.data(), 6);
  for (const auto& result : {low, high}) {
    EXPECT_TRUE(std::isnan(result[0]));
    EXPECT_TRUE(std::isnan(result[1]));
  }
  for (const int i : {2, 3, 4}) EXPECT_TRUE(std::signbit(low[i])) << i;
  for (const int i : {2, 3}) EXPECT_FALSE(std::signbit(high[i])) << i;
  EXPECT_TRUE(std::signbit(high[4]));
  EXPECT_EQ(low[5], -3);
  EXPECT_EQ(high[5], 2);
}

TEST_P(Reduction, AverageDividesOnceBeforeRounding) {
  constexpr std::size_t kCount = 77;
  for (const DataType type : all_types()) {
    if (!supports(ReduceKind::avg, type)) continue;
    const std::vector<Buffer> in = make_inputs(type, 5, kCount);
    for (const int ranks : {1, 3, 5, 128, 1000}) {
      Buffer out(kCount * size_of(type));
      kernels::fold({.kind = ReduceKind::avg}, type, addresses(in), out.data(), kCount, {.average_over = ranks});
      const Buffer expected = reference_fold(ReduceKind::avg, type, in, ranks);
      ASSERT_EQ(first_difference(type, out.data(), expected.data(), kCount), -1) << name(type) << " over " << ranks;

      Buffer data = in[0];
      kernels::finish({.kind = ReduceKind::avg}, type, data.data(), kCount, ranks);
      const Buffer divided = reference_fold(ReduceKind::avg, type, std::span(in).first(1), ranks);
      ASSERT_EQ(first_difference(type, data.data(), divided.data(), kCount), -1) << name(type) << " finished over " << ranks;
    }
  }
}

TEST_P(Reduction, FinishTruncatesTowardZeroAndLeavesOtherOperatorsAlone) {
  std::vector<std::int32_t> data{-7, 7, -1, 0, std::numeric_limits<std::int32_t>::min()};
  kernels::finish({.kind = ReduceKind::sum}, DataType::i32, data.data(), data.size(), 2);
  EXPECT_EQ(data[0], -7);
  kernels::finish({.kind = ReduceKind::avg}, DataType::i32, data.data(), data.size(), 2);
  EXPECT_THAT(data, testing::ElementsAre(-3, 3, 0, 0, -1073741824));
  std::vector<std::uint64_t> large{~0ULL};
  kernels::finish({.kind = ReduceKind::avg}, DataType::u64, large.data(), 1, 2);
  EXPECT_EQ(large[0], ~0ULL / 2);
}

template <class T>
T multiplied(T value, double factor) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<unsigned __int128>(value) *
                          static_cast<unsigned __int128>(static_cast<std::int64_t>(factor)));
  } else if constexpr (std::is_floating_point_v<T>) {
    return value * static_cast<T>(factor);
  } else {
    const auto part = static_cast<typename T::value_type>(factor);
    return {value.real() * part, value.imag() * part};
  }
}

TEST_P(Reduction, PrepareMultipliesByThisRanksScalar) {
  constexpr std::size_t kCount = 150;
  for (const DataType type : all_types()) {
    if (!supports(ReduceKind::premul_sum, type)) continue;
    const Buffer in = make_input(type, kCount, 7);
    for (const double factor : {2.75, -3.0, 0.1, 1e6, 1e18}) {
      Buffer out(in.size());
      Buffer expected(in.size());
      kernels::prepare({.kind = ReduceKind::premul_sum, .scalar = factor}, type, in.data(), out.data(), kCount);
      as_type(type, [&]<class T>(T) {
        for (std::size_t at = 0; at < in.size(); at += size_of(type)) {
          if constexpr (!std::is_same_v<T, bool>) store(type, multiplied(load<T>(type, &in[at]), factor), &expected[at]);
        }
      });
      ASSERT_EQ(first_difference(type, out.data(), expected.data(), kCount), -1) << name(type) << " times " << factor;
    }
  }
}

TEST_P(Reduction, PrepareSaturatesFactorsNoIntegerHolds) {
  const std::vector<std::int64_t> in{1, -1};
  std::vector<std::int64_t> out(2);
  const auto prepare = [&](double factor) {
    kernels::prepare({.kind = ReduceKind::premul_sum, .scalar = factor}, DataType::i64, in.data(), out.data(), 2);
    return out[0];
  };
  EXPECT_EQ(prepare(1e300), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(prepare(-1e300), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(prepare(std::numeric_limits<double>::quiet_NaN()), 0);
  // All 64 bits of a factor that lies in memory count.
  const std::int64_t huge = (std::int64_t{1} << 60) + 1;
  kernels::prepare({.kind = ReduceKind::premul_sum, .scalar_at = &huge}, DataType::i64, in.data(), out.data(), 2);
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_EQ(static_cast<std::uint64_t>(out[i]), static_cast<std::uint64_t>(in[i]) * static_cast<std::uint64_t>(huge));
  kernels::prepare({.kind = ReduceKind::sum, .scalar = 9}, DataType::i64, in.data(), out.data(), 2);
  EXPECT_EQ(out, in) << "other operators only copy";
}

TEST(Check, NamesThePairItRefuses) {
  EXPECT_TRUE(kernels::check(ReduceKind::sum, DataType::c64));
  const Status refused = kernels::check(ReduceKind::band, DataType::f32);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::unsupported);
  EXPECT_THAT(refused.error().to_string(), testing::AllOf(testing::HasSubstr("band"), testing::HasSubstr("f32")));
}

TEST(Check, RefusedPairsLeaveTheResultUntouched) {
  const std::vector<float> in{1, 2};
  std::vector<float> out{5, 6};
  kernels::reduce2({.kind = ReduceKind::band}, DataType::f32, in.data(), in.data(), out.data(), 2);
  EXPECT_THAT(out, testing::ElementsAre(5, 6));
}

// The tests above are worth something only if masking really changes the code that runs, and the mask is lifted again.
TEST(InstructionSets, AreDistinctAndTheBestIsTheDefault) {
  const std::vector<InstructionSet> sets = instruction_sets();
  ASSERT_FALSE(sets.empty());
  EXPECT_EQ(kernels::instruction_set(), sets.front().name);
  for (const InstructionSet& set : sets) {
    allow(set.mask);
    EXPECT_EQ(kernels::instruction_set(), set.name);
  }
  allow(0);
  EXPECT_EQ(kernels::instruction_set(), sets.front().name);
}

}  // namespace
}  // namespace tutti::test
