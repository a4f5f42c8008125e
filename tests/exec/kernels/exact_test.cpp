// Sums in more than the type's precision, against MPFR: correctly rounded sums, and sums of 200 bits.
#include <gtest/gtest.h>
#include <mpfr.h>

#include <cmath>
#include <random>

#include "instruction_sets.h"
#include "kernels/exact_sum.h"
#include "reference.h"

namespace tutti::test {
namespace {

class ExactKernels : public EveryInstructionSet {};
INSTANTIATE_TEST_SUITE_P(On, ExactKernels, testing::ValuesIn(instruction_sets()), instruction_set_name);

constexpr DataType kFloats[] = {DataType::f8e4m3, DataType::f8e5m2, DataType::f16, DataType::bf16, DataType::f32, DataType::f64};

// A number of so many bits.
class Precise {
 public:
  explicit Precise(mpfr_prec_t bits) { mpfr_init2(value_, bits); }
  Precise(const Precise&) = delete;
  Precise& operator=(const Precise&) = delete;
  ~Precise() { mpfr_clear(value_); }
  mpfr_ptr get() { return value_; }

 private:
  mpfr_t value_;
};

double as_double(DataType type, const std::byte* at) {
  return type == DataType::f64 ? load<double>(type, at) : static_cast<double>(load<float>(type, at));
}

// The sum of the inputs' elements at a place. 2,200 bits hold any sum of f64 as it is.
void sum(std::span<const Buffer> inputs, DataType type, std::size_t at, mpfr_ptr result) {
  mpfr_set_zero(result, 1);
  for (const Buffer& in : inputs) mpfr_add_d(result, result, as_double(type, &in[at]), MPFR_RNDN);
}

// As MPFR has it with the exponents of f32: emin and emax are those of numbers in [0.5, 1).
float to_f32(mpfr_ptr exact) { return mpfr_get_flt(exact, MPFR_RNDN); }

Buffer reference_exact(std::span<const Buffer> inputs, DataType type, int ranks = 0) {
  Buffer out(inputs[0].size());
  Precise exact(2200);
  for (std::size_t at = 0; at < out.size(); at += size_of(type)) {
    sum(inputs, type, at, exact.get());
    double result = ranks > 0 || type == DataType::f64 ? mpfr_get_d(exact.get(), MPFR_RNDN) : to_f32(exact.get());
    if (ranks > 0) result /= ranks;
    if (type == DataType::f64)
      store(type, result, &out[at]);
    else
      store(type, static_cast<float>(result), &out[at]);
  }
  return out;
}

// Numbers as gradients are, numbers of all sizes, and numbers that cancel each other.
std::vector<Buffer> summands(DataType type, std::size_t inputs, std::size_t count) {
  std::mt19937_64 random(inputs);
  std::normal_distribution<double> normal;
  const int widest = type == DataType::f64 ? 900 : type == DataType::f32 || type == DataType::bf16 ? 120 : 7;
  std::vector<Buffer> made(inputs, Buffer(count * size_of(type)));
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t s = 0; s < inputs; ++s) {
      double x = normal(random);
      if (i % 3 == 1) x = std::ldexp(x, static_cast<int>(random() % static_cast<std::uint64_t>(2 * widest)) - widest);
      std::byte* at = &made[s][i * size_of(type)];
      if (i % 3 == 2 && s % 2 == 1) x = -as_double(type, &made[s - 1][i * size_of(type)]) * (s % 4 == 1 ? 1 : 1 + 1e-6);
      if (type == DataType::f64)
        store(type, x, at);
      else
        store(type, static_cast<float>(x), at);
    }
  return made;
}

TEST_P(ExactKernels, RoundTheSumOfAnyInputsOnce) {
  constexpr std::size_t kCount = 301;
  for (const DataType type : kFloats)
    for (const std::size_t inputs : {2, 3, 5, 8, 33}) {
      for (const bool special : {false, true}) {
        std::vector<Buffer> in = special ? make_inputs(type, inputs, kCount) : summands(type, inputs, kCount);
        Buffer out(kCount * size_of(type));
        kernels::fold({}, type, addresses(in), out.data(), kCount, {.accumulation = Accumulation::exact});
        const Buffer expected = reference_exact(in, type);
        for (std::size_t i = 0; i < kCount; ++i) {
          const std::byte *is = &out[i * size_of(type)], *should = &expected[i * size_of(type)];
          if (as_double(type, should) == 0 && as_double(type, is) == 0) continue;  // MPFR's zeros have signs of their own
          ASSERT_EQ(first_difference(type, is, should, 1), -1)
              << name(type) << ", " << inputs << " inputs, element " << i << ": " << as_double(type, is) << " instead of "
              << as_double(type, should);
        }
      }
    }
}

TEST_P(ExactKernels, DoNotDependOnTheOrder) {
  constexpr std::size_t kCount = 97;
  for (const DataType type : kFloats) {
    std::vector<Buffer> in = summands(type, 9, kCount);
    Buffer one(kCount * size_of(type)), other(one.size());
    kernels::fold({}, type, addresses(in), one.data(), kCount, {.accumulation = Accumulation::exact});
    std::ranges::reverse(in);
    std::swap(in[1], in[5]);
    kernels::fold({}, type, addresses(in), other.data(), kCount, {.accumulation = Accumulation::exact});
    ASSERT_EQ(one, other) << name(type);
  }
}

TEST_P(ExactKernels, DivideWhatIsRoundedToF64) {
  constexpr std::size_t kCount = 301;
  for (const DataType type : kFloats) {
    const std::vector<Buffer> in = summands(type, 5, kCount);
    Buffer out(kCount * size_of(type));
    kernels::fold({.kind = ReduceKind::avg}, type, addresses(in), out.data(), kCount,
                  {.average_over = 5, .accumulation = Accumulation::exact});
    ASSERT_EQ(first_difference(type, out.data(), reference_exact(in, type, 5).data(), kCount), -1) << name(type);
  }
}

TEST_P(ExactKernels, KeepNegativeZerosAndPlaces) {
  for (const DataType type : kFloats)
    for (std::size_t place = 0; place < 3; ++place) {
      std::vector<Buffer> in(3, Buffer(40 * size_of(type)));
      for (Buffer& b : in)
        for (std::size_t i = 0; i < 40; ++i) {
          std::byte* at = &b[i * size_of(type)];
          if (type == DataType::f64)
            store(type, -0.0, at);
          else
            store(type, -0.0F, at);
        }
      const Buffer zeros = in[0];
      kernels::fold({}, type, addresses(in), in[place].data(), 40, {.accumulation = Accumulation::exact});
      ASSERT_EQ(in[place], zeros) << name(type);
    }
}

TEST_P(ExactKernels, SumOfComplexNumbers) {
  const std::vector<Buffer> in = summands(DataType::f32, 4, 200);
  Buffer parts(800), whole(800);
  kernels::fold({}, DataType::f32, addresses(in), parts.data(), 200, {.accumulation = Accumulation::exact});
  kernels::fold({}, DataType::c64, addresses(in), whole.data(), 100, {.accumulation = Accumulation::exact});
  EXPECT_EQ(parts, whole);
}

// In f64 the error of a sum of p numbers is at most (p-1) 2^-53 of the sum of their magnitudes, and the rounding to f32 adds half
// a unit in the last place; in f32 it is log2(p) roundings along the tree, each 2^-24.
TEST_P(ExactKernels, AddF32InF64) {
  constexpr std::size_t kCount = 1000, kInputs = 24;
  const std::vector<Buffer> in = summands(DataType::f32, kInputs, kCount);
  Buffer wide(kCount * 4), usual(kCount * 4);
  kernels::fold({}, DataType::f32, addresses(in), wide.data(), kCount, {.accumulation = Accumulation::f64});
  kernels::fold({}, DataType::f32, addresses(in), usual.data(), kCount);
  Precise exact(200), error(200);
  for (std::size_t i = 0; i < kCount; ++i) {
    sum(in, DataType::f32, 4 * i, exact.get());
    double magnitudes = 0;
    for (const Buffer& b : in) magnitudes += std::abs(as_double(DataType::f32, &b[4 * i]));
    const auto off = [&](const Buffer& result) {
      mpfr_sub_d(error.get(), exact.get(), as_double(DataType::f32, &result[4 * i]), MPFR_RNDN);
      return std::abs(mpfr_get_d(error.get(), MPFR_RNDN));
    };
    const double rounding = std::abs(mpfr_get_d(exact.get(), MPFR_RNDN)) * 0x1p-24 + 0x1p-150;
    ASSERT_LE(off(wide), rounding + kInputs * 0x1p-53 * magnitudes) << i;
    ASSERT_LE(off(usual), rounding + 5 * 0x1p-24 * magnitudes) << i;
  }
}

// Half a unit in the last place of each type, and of what a step adds up in.
struct Precision {
  DataType type;
  double rounding, adding;
};
constexpr Precision kPrecisions[] = {{DataType::f8e4m3, 0x1p-4, 0x1p-24}, {DataType::f8e5m2, 0x1p-3, 0x1p-24},
                                     {DataType::f16, 0x1p-11, 0x1p-24},   {DataType::bf16, 0x1p-8, 0x1p-24},
                                     {DataType::f32, 0x1p-24, 0x1p-24},   {DataType::f64, 0x1p-53, 0x1p-53}};

// Sums in a step err by no more than one rounding per level of the tree, and one in the end.
TEST_P(ExactKernels, ErrAsLittleAsTheTreeIsDeep) {
  constexpr std::size_t kCount = 1000, kInputs = 24;
  constexpr int kLevels = 5;  // of the tree of 24
  Precise exact(200), error(200);
  for (const auto& [type, rounding, adding] : kPrecisions) {
    const std::vector<Buffer> in = summands(type, kInputs, kCount);
    Buffer out(kCount * size_of(type));
    kernels::fold({}, type, addresses(in), out.data(), kCount);
    for (std::size_t at = 0; at < out.size(); at += size_of(type)) {
      sum(in, type, at, exact.get());
      double magnitudes = 0;
      for (const Buffer& b : in) magnitudes += std::abs(as_double(type, &b[at]));
      const double result = as_double(type, &out[at]), right = mpfr_get_d(exact.get(), MPFR_RNDN);
      if (!std::isfinite(result)) continue;  // beyond the type
      mpfr_sub_d(error.get(), exact.get(), result, MPFR_RNDN);
      const double smallest = type == DataType::f16 || type == DataType::f8e4m3 || type == DataType::f8e5m2 ? 0x1p-10 : 0x1p-130;
      ASSERT_LE(std::abs(mpfr_get_d(error.get(), MPFR_RNDN)),
                (1 + 0x1p-20) * (kLevels * adding * magnitudes + rounding * (std::abs(right) + kLevels * adding * magnitudes)) +
                    smallest)
          << name(type);
    }
  }
}

TEST(Accumulations, AreOfSomeOperatorsAndTypes) {
  using enum ReduceKind;
  EXPECT_TRUE(kernels::accumulates(sum, DataType::f32, Accumulation::f64));
  EXPECT_TRUE(kernels::accumulates(prod, DataType::f32, Accumulation::f64));
  EXPECT_TRUE(kernels::accumulates(avg, DataType::c64, Accumulation::f64));
  EXPECT_FALSE(kernels::accumulates(prod, DataType::c64, Accumulation::f64));
  EXPECT_FALSE(kernels::accumulates(sum, DataType::bf16, Accumulation::f64));
  EXPECT_TRUE(kernels::accumulates(premul_sum, DataType::bf16, Accumulation::exact));
  EXPECT_TRUE(kernels::accumulates(sum, DataType::c128, Accumulation::exact));
  EXPECT_FALSE(kernels::accumulates(prod, DataType::f32, Accumulation::exact));
  EXPECT_FALSE(kernels::accumulates(user, DataType::f32, Accumulation::exact));
}

TEST(ExactSum, CarriesOverAllDigitsAndBack) {
  kernels::ExactSum sum;
  for (int i = 0; i < 3; ++i) sum.add(0x1.fffffffffffffp1023);
  sum.add(0x1p-1074);
  EXPECT_EQ(sum.to_f64(), HUGE_VAL) << "the sum is beyond f64";
  for (int i = 0; i < 3; ++i) sum.add(-0x1.fffffffffffffp1023);
  EXPECT_EQ(sum.to_f64(), 0x1p-1074);
  sum.add(-0x1p-1073);
  EXPECT_EQ(sum.to_f64(), -0x1p-1074);
  EXPECT_EQ(sum.to_f64(), -0x1p-1074) << "asked again";
  EXPECT_TRUE(std::signbit(sum.to_f32())) << "of the same sign";
  sum.add(-1);
  EXPECT_EQ(sum.to_f64(), -1);
  sum.add(1);
  EXPECT_EQ(sum.to_f32(), 0) << "below half of the smallest number of f32";
}

}  // namespace
}  // namespace tutti::test
