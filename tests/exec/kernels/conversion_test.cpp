// Every code of the small floats goes through the kernels and back; rounding is compared with a search among all values.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "instruction_sets.h"
#include "kernels/kernels.h"
#include "small_floats.h"

namespace tutti::test {
namespace {

class Conversion : public EveryInstructionSet {};
INSTANTIATE_TEST_SUITE_P(On, Conversion, testing::ValuesIn(instruction_sets()), instruction_set_name);

struct Case {
  DataType type;
  Format format;
};
constexpr Case kCases[] = {{DataType::f16, kF16}, {DataType::bf16, kBf16}, {DataType::f8e4m3, kE4m3}, {DataType::f8e5m2, kE5m2}};

std::vector<std::byte> pack(const std::vector<std::uint32_t>& codes, std::size_t size) {
  std::vector<std::byte> bytes(codes.size() * size);
  for (std::size_t i = 0; i < codes.size(); ++i)
    for (std::size_t b = 0; b < size; ++b) bytes[i * size + b] = static_cast<std::byte>(codes[i] >> 8 * b);
  return bytes;
}

std::vector<std::uint32_t> unpack(const std::vector<std::byte>& bytes, std::size_t size) {
  std::vector<std::uint32_t> codes(bytes.size() / size);
  for (std::size_t i = 0; i < codes.size(); ++i)
    for (std::size_t b = 0; b < size; ++b) codes[i] |= std::to_integer<std::uint32_t>(bytes[i * size + b]) << 8 * b;
  return codes;
}

std::vector<std::uint32_t> all_codes(DataType type) {
  std::vector<std::uint32_t> codes(std::size_t{1} << 8 * size_of(type));
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint32_t>(i);
  return codes;
}

// scalar * code, in f32, rounded: reaches every rounding path with a chosen factor.
std::vector<std::uint32_t> scaled(DataType type, const std::vector<std::uint32_t>& codes, double factor) {
  const std::size_t size = size_of(type);
  const std::vector<std::byte> in = pack(codes, size);
  std::vector<std::byte> out(in.size());
  kernels::prepare({.kind = ReduceKind::premul_sum, .scalar = factor}, type, in.data(), out.data(), codes.size());
  return unpack(out, size);
}

void expect_scaled(const Case& c, double factor) {
  const Rounder round(c.format);
  const std::vector<std::uint32_t> codes = all_codes(c.type);
  const std::vector<std::uint32_t> got = scaled(c.type, codes, factor);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const float product = static_cast<float>(round.value(codes[i])) * static_cast<float>(factor);
    if (std::isnan(product)) {
      ASSERT_TRUE(round.is_nan(got[i])) << name(c.type) << " code " << codes[i] << " times " << factor << " gave " << got[i];
    } else {
      ASSERT_EQ(got[i], round(product)) << name(c.type) << " code " << codes[i] << " times " << factor << " = " << product;
    }
  }
}

TEST_P(Conversion, EveryCodeSurvives) {
  for (const Case& c : kCases) expect_scaled(c, 1.0);
}

TEST_P(Conversion, RoundsToNearestEvenTiesSubnormalsAndOverflow) {
  // Halves and quarters of the smallest subnormals, ties by 1.5, overflow by large factors, plain odd factors, signs.
  for (const double factor : {0.5, 0.25, 0.75, 1.5, -1.5, 1.0009765625, 1.03125, 3.0, 1.0 / 3, 1e-3, 257.0, -1e4, 65536.0, 1e30,
                              1e-30, 0.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
    for (const Case& c : kCases) expect_scaled(c, factor);
}

TEST_P(Conversion, SumOfAllPairsOfEightBitFloatsIsRoundedOnce) {
  for (const Case& c : {kCases[2], kCases[3]}) {
    const Rounder round(c.format);
    for (std::uint32_t a = 0; a < 256; ++a) {
      const std::vector<std::uint32_t> rights = all_codes(c.type);
      const std::vector<std::byte> left = pack(std::vector<std::uint32_t>(256, a), 1);
      std::vector<std::byte> right = pack(rights, 1);
      kernels::reduce2({}, c.type, left.data(), right.data(), right.data(), 256);
      const std::vector<std::uint32_t> got = unpack(right, 1);
      for (std::uint32_t b = 0; b < 256; ++b) {
        const float sum = static_cast<float>(round.value(a)) + static_cast<float>(round.value(b));
        if (std::isnan(sum)) {
          ASSERT_TRUE(round.is_nan(got[b])) << a << " + " << b;
        } else {
          ASSERT_EQ(got[b], round(sum)) << name(c.type) << " " << a << " + " << b;
        }
      }
    }
  }
}

// Midpoints between neighbours, and the f32 numbers next to them: a + b hits them exactly for a = value, b = half a unit.
TEST_P(Conversion, TiesOfSixteenBitFloats) {
  for (const Case& c : {kCases[0], kCases[1]}) {
    const Rounder round(c.format);
    const std::vector<std::uint32_t> lefts = all_codes(c.type);
    std::vector<std::uint32_t> rights(lefts.size());
    for (std::size_t i = 0; i < lefts.size(); ++i) {
      const double below = round.value(lefts[i]);
      const double above = i + 1 < lefts.size() ? round.value(lefts[i] + 1) : 0;
      const double half = std::isfinite(below) && std::isfinite(above) ? (above - below) / 2 : 1;
      rights[i] = round(static_cast<float>(half)) + static_cast<std::uint32_t>(i % 3 == 0 ? 1 : 0);
    }
    const std::vector<std::byte> left = pack(lefts, 2);
    std::vector<std::byte> right = pack(rights, 2);
    kernels::reduce2({}, c.type, left.data(), right.data(), right.data(), lefts.size());
    const std::vector<std::uint32_t> got = unpack(right, 2);
    for (std::size_t i = 0; i < lefts.size(); ++i) {
      const float sum = static_cast<float>(round.value(lefts[i])) + static_cast<float>(round.value(rights[i]));
      if (std::isnan(sum)) {
        ASSERT_TRUE(round.is_nan(got[i]));
      } else {
        ASSERT_EQ(got[i], round(sum)) << name(c.type) << " " << lefts[i] << " + " << rights[i];
      }
    }
  }
}

TEST_P(Conversion, DocumentedOverflow) {
  const std::vector<std::uint32_t> e4m3 = scaled(DataType::f8e4m3, {0x7e, 0x76}, 464.0 / 448);  // 448, 224
  EXPECT_EQ(e4m3[0], 0x7eu) << "464 lies halfway between 448 and what would be 480; 448 is the even one";
  EXPECT_EQ(scaled(DataType::f8e4m3, {0x7e}, 465.0 / 448)[0], 0x7fu) << "beyond: NaN, there is no infinity";
  EXPECT_EQ(scaled(DataType::f8e4m3, {0xfe}, 1e9)[0], 0xffu) << "NaN keeps the sign";
  EXPECT_EQ(scaled(DataType::f8e5m2, {0x7b}, 2)[0], 0x7cu) << "57344 * 2 is infinity";
  EXPECT_EQ(scaled(DataType::f16, {0x7bff}, 1.0001)[0], 0x7bffu);
  EXPECT_EQ(scaled(DataType::f16, {0x7bff}, 1.001)[0], 0x7c00u);
}

}  // namespace
}  // namespace tutti::test
