// The kernels' host build gives the bits of the CPU's kernels, but that it combines operands from the first to the last: every
// type and operator, any number of operands, any address.
#include "device/arithmetic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "device/op.h"
#include "kernels/kernels.h"
#include "launch.h"
#include "tests/exec/kernels/reference.h"

namespace tutti::test {
namespace {

using device::FinishArguments;
using device::FoldArguments;
using device::kMostOperands;
using device::PrepareArguments;

constexpr std::size_t kMostCount = 203;

struct Pair {
  DataType type;
  ReduceKind kind;
};

std::vector<Pair> supported() {
  std::vector<Pair> pairs;
  for (int t = 0; t < kDataTypes; ++t)
    for (int k = 0; k < kReduceKinds; ++k) {
      const Pair pair{static_cast<DataType>(t), static_cast<ReduceKind>(k)};
      if (pair.kind != ReduceKind::user && supports(pair.kind, pair.type)) pairs.push_back(pair);
    }
  return pairs;
}

std::string text(const Pair& p) { return std::string(name(p.kind)) + " of " + std::string(name(p.type)); }

// One NaN is as good as another.
template <class T>
T plain(T value) {
  return std::isnan(value) ? std::numeric_limits<T>::quiet_NaN() : value;
}

template <class T>
void canonicalise(std::vector<std::byte>& bytes) {
  for (std::size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, &bytes[at], sizeof(T));
    value = plain(value);
    std::memcpy(&bytes[at], &value, sizeof(T));
  }
}

template <class Code, class Decode>
void canonicalise(std::vector<std::byte>& bytes, Decode decode) {
  for (std::size_t at = 0; at + sizeof(Code) <= bytes.size(); at += sizeof(Code)) {
    Code code;
    std::memcpy(&code, &bytes[at], sizeof(Code));
    if (std::isnan(decode(code))) code = static_cast<Code>(-1);
    std::memcpy(&bytes[at], &code, sizeof(Code));
  }
}

std::vector<std::byte> canonical(std::vector<std::byte> bytes, DataType type) {
  switch (type) {
    case DataType::f16:
      canonicalise<std::uint16_t>(bytes, device::Half::decode);
      break;
    case DataType::bf16:
      canonicalise<std::uint16_t>(bytes, device::Bfloat::load);
      break;
    case DataType::f8e4m3:
      canonicalise<std::uint8_t>(bytes, device::E4m3::decode);
      break;
    case DataType::f8e5m2:
      canonicalise<std::uint8_t>(bytes, device::E5m2::decode);
      break;
    case DataType::f32:
    case DataType::c64:
      canonicalise<float>(bytes);
      break;
    case DataType::f64:
    case DataType::c128:
      canonicalise<double>(bytes);
      break;
    default:
      break;
  }
  return bytes;
}

template <class T>
void put_numbers(std::vector<std::byte>& bytes, std::mt19937_64& random, const std::vector<T>& special) {
  std::normal_distribution<T> numbers(0, 3);
  for (std::size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    const T value = random() % 4 == 0 ? special[random() % special.size()] : numbers(random);
    std::memcpy(&bytes[at], &value, sizeof(T));
  }
}

template <class T>
std::vector<T> specials() {
  using Limits = std::numeric_limits<T>;
  return {0,
          -T{0},
          Limits::quiet_NaN(),
          Limits::infinity(),
          -Limits::infinity(),
          Limits::denorm_min(),
          -Limits::denorm_min() * 7,
          Limits::min(),
          Limits::max(),
          Limits::lowest(),
          1,
          -1};
}

// Numbers of moderate size with the special ones among them; types of few bits take any code.
std::vector<std::byte> some(DataType type, std::size_t count, std::mt19937_64& random) {
  std::vector<std::byte> bytes(count * size_of(type));
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  if (type == DataType::f32 || type == DataType::c64) put_numbers<float>(bytes, random, specials<float>());
  if (type == DataType::f64 || type == DataType::c128) put_numbers<double>(bytes, random, specials<double>());
  if (type == DataType::boolean)
    for (std::byte& b : bytes) b = random() % 2 == 0 ? std::byte{0} : b;
  return bytes;
}

// Room for elements at an address that is `shift` more than a multiple of 64.
class Shifted {
 public:
  Shifted(std::size_t bytes, std::size_t shift) : room_(bytes + 128) {
    const auto at = reinterpret_cast<std::uintptr_t>(room_.data());
    begin_ = room_.data() + (64 - at % 64) + shift;
  }
  void fill(const std::vector<std::byte>& bytes) { std::ranges::copy(bytes, begin_); }
  [[nodiscard]] std::byte* data() const { return begin_; }
  [[nodiscard]] std::vector<std::byte> bytes(std::size_t n) const { return {begin_, begin_ + n}; }

 private:
  std::vector<std::byte> room_;
  std::byte* begin_;
};

// Two operands by the CPU's kernels, more by the reference that these are tested with.
std::vector<std::byte> by_cpu(const Pair& p, const std::vector<std::vector<std::byte>>& inputs, std::size_t count, int over) {
  if (inputs.size() > 2) return reference_fold(p.kind, p.type, inputs, over, Order::chain);
  std::vector<const void*> pointers;
  pointers.reserve(inputs.size());
  for (const auto& in : inputs) pointers.push_back(in.data());
  std::vector<std::byte> out(count * size_of(p.type), std::byte{0x5a});
  kernels::fold({.kind = p.kind}, p.type, pointers, out.data(), count, {.average_over = over});
  return out;
}

// Each operand at its own shift; out in place of operand `in_place`, if there is such a one.
void expect_fold(const Pair& p, std::size_t operands, std::size_t count, const std::vector<std::size_t>& shifts, int over,
                 std::size_t in_place, std::mt19937_64& random) {
  const std::size_t bytes = count * size_of(p.type);
  std::vector<std::vector<std::byte>> inputs;
  std::vector<Shifted> placed;
  FoldArguments a{.inputs = {},
                  .out = nullptr,
                  .count = count,
                  .operands = static_cast<std::uint32_t>(operands),
                  .average_over = over,
                  .type = p.type,
                  .kind = p.kind};
  for (std::size_t s = 0; s < operands; ++s) {
    inputs.push_back(some(p.type, count, random));
    placed.emplace_back(bytes, shifts[s % shifts.size()]).fill(inputs.back());
    a.inputs[s] = placed.back().data();
  }
  const Shifted apart(bytes, shifts.back());
  const Shifted& out = in_place < operands ? placed[in_place] : apart;
  out.data()[bytes] = std::byte{0x77};
  a.out = out.data();
  launch(tutti_fold, a);
  ASSERT_EQ(canonical(out.bytes(bytes), p.type), canonical(by_cpu(p, inputs, count, over), p.type))
      << text(p) << ", " << operands << " operands of " << count << ", over " << over << ", in place of " << in_place;
  ASSERT_EQ(out.data()[bytes], std::byte{0x77}) << text(p) << ": written beyond the end";
}

TEST(DeviceFold, EveryTypeAndOperatorAsTheCpu) {
  std::mt19937_64 random(1);
  for (const Pair& p : supported())
    for (std::size_t operands = 1; operands <= kMostOperands; ++operands)
      for (const std::size_t count : {1, 64, 203}) ASSERT_NO_FATAL_FAILURE(expect_fold(p, operands, count, {0}, 0, 99, random));
}

TEST(DeviceFold, AnyAddressAndCount) {
  std::mt19937_64 random(2);
  for (const Pair& p : supported()) {
    const std::size_t size = size_of(p.type);
    const std::vector<std::vector<std::size_t>> places = {{size}, {0, size}, {1}, {3, 1, 8}, {8}, {15}, {4, 2}};
    for (const std::size_t count : {0, 1, 2, 3, 7, 16, 31, 33, 65, 127})
      for (const auto& shifts : places) ASSERT_NO_FATAL_FAILURE(expect_fold(p, 2, count, shifts, 0, 99, random));
  }
}

TEST(DeviceFold, InPlaceOfAnyOperand) {
  std::mt19937_64 random(3);
  for (const Pair& p : supported())
    for (const std::size_t in_place : {0, 1, 2})
      for (const std::size_t shift : {0, 1}) ASSERT_NO_FATAL_FAILURE(expect_fold(p, 3, 203, {shift}, 0, in_place, random));
}

TEST(DeviceFold, MeansAreDividedBeforeTheOneRounding) {
  std::mt19937_64 random(4);
  for (int t = 0; t < kDataTypes; ++t) {
    const Pair p{static_cast<DataType>(t), ReduceKind::avg};
    if (!supports(p.kind, p.type)) continue;
    for (const int over : {1, 2, 3, 7, 1000})
      for (const std::size_t operands : {1, 2, 5}) ASSERT_NO_FATAL_FAILURE(expect_fold(p, operands, 203, {0}, over, 99, random));
  }
}

TEST(DeviceFold, AnyShapeOfLaunch) {
  std::mt19937_64 random(5);
  const std::vector<std::byte> left = some(DataType::i16, kMostCount, random), right = some(DataType::i16, kMostCount, random);
  const auto expected = by_cpu({DataType::i16, ReduceKind::sum}, {left, right}, kMostCount, 0);
  for (const auto& [blocks, threads] : {std::pair{1U, 1U}, {1U, 32U}, {7U, 1U}, {3U, 5U}, {64U, 256U}}) {
    std::vector<std::byte> out(left.size());
    launch(tutti_fold, FoldArguments{{left.data(), right.data()}, out.data(), kMostCount, 2, 0, DataType::i16, ReduceKind::sum},
           blocks, threads);
    ASSERT_EQ(out, expected) << blocks << " blocks of " << threads;
  }
}

TEST(DeviceFold, WhatIsNotDefinedWritesNothing) {
  const std::vector<std::byte> in(64, std::byte{1});
  for (const Pair& p :
       {Pair{DataType::f32, ReduceKind::band}, {DataType::c64, ReduceKind::min}, {DataType::u8, ReduceKind::user}}) {
    std::vector<std::byte> out(64, std::byte{9});
    launch(tutti_fold, FoldArguments{{in.data(), in.data()}, out.data(), 4, 2, 0, p.type, p.kind});
    EXPECT_EQ(out, std::vector<std::byte>(64, std::byte{9})) << text(p);
  }
}

TEST(DevicePrepare, MultipliesAsTheCpu) {
  std::mt19937_64 random(6);
  for (int t = 0; t < kDataTypes; ++t) {
    const auto type = static_cast<DataType>(t);
    if (!supports(ReduceKind::premul_sum, type)) continue;
    for (const double factor : {1.0, 0.25, -3.0, 1.0 / 3, 0.0, 1e300, -1e30, std::numeric_limits<double>::quiet_NaN()})
      for (const std::size_t shift : {0, 1, 8}) {
        const std::vector<std::byte> in = some(type, kMostCount, random);
        std::vector<std::byte> expected(in.size());
        kernels::prepare({.kind = ReduceKind::premul_sum, .scalar = factor}, type, in.data(), expected.data(), kMostCount);
        Shifted data(in.size(), shift);
        data.fill(in);
        launch(tutti_prepare, PrepareArguments{data.data(), data.data(), kMostCount, nullptr, factor, type});
        ASSERT_EQ(canonical(data.bytes(in.size()), type), canonical(expected, type)) << name(type) << " times " << factor;
      }
  }
}

template <class T>
void expect_scalar(DataType type, T scalar, double factor) {
  std::mt19937_64 random(7);
  const std::vector<std::byte> in = some(type, kMostCount, random);
  std::vector<std::byte> expected(in.size()), out(in.size());
  kernels::prepare({.kind = ReduceKind::premul_sum, .scalar = factor}, type, in.data(), expected.data(), kMostCount);
  launch(tutti_prepare,
         PrepareArguments{in.data(), out.data(), kMostCount, reinterpret_cast<const std::byte*>(&scalar), 99.0, type});
  ASSERT_EQ(canonical(out, type), canonical(expected, type)) << name(type) << " times " << factor;
}

TEST(DevicePrepare, TakesTheFactorFromMemory) {
  expect_scalar<float>(DataType::f32, 0.3F, 0.3F);
  expect_scalar<double>(DataType::f64, 0.3, 0.3);
  expect_scalar<float>(DataType::c64, -2.5F, -2.5);
  expect_scalar<std::uint16_t>(DataType::f16, 0x3800, 0.5);
  expect_scalar<std::uint16_t>(DataType::bf16, 0x3f00, 0.5);
  expect_scalar<std::uint8_t>(DataType::f8e4m3, 0x30, 0.5);
  expect_scalar<std::uint8_t>(DataType::f8e5m2, 0x38, 0.5);
  expect_scalar<std::int8_t>(DataType::i8, -3, -3);
  expect_scalar<std::int64_t>(DataType::i64, -3, -3);
}

TEST(DeviceFinish, DividesAsTheCpu) {
  std::mt19937_64 random(8);
  for (int t = 0; t < kDataTypes; ++t) {
    const auto type = static_cast<DataType>(t);
    if (!supports(ReduceKind::avg, type)) continue;
    for (const int ranks : {1, 3, 8, 70000})
      for (const std::size_t shift : {0, 1, 8}) {
        std::vector<std::byte> expected = some(type, kMostCount, random);
        Shifted data(expected.size(), shift);
        data.fill(expected);
        kernels::finish({.kind = ReduceKind::avg}, type, expected.data(), kMostCount, ranks);
        launch(tutti_finish, FinishArguments{data.data(), kMostCount, ranks, type});
        ASSERT_EQ(canonical(data.bytes(expected.size()), type), canonical(expected, type)) << name(type) << " / " << ranks;
      }
  }
}

TEST(DeviceConversion, EveryCodeOfSmallFloatsSurvives) {
  for (std::uint32_t code = 0; code < 65536; ++code) {
    if (!std::isnan(device::Half::decode(code))) {
      ASSERT_EQ(device::Half::encode(device::Half::decode(code)), code);
    }
    const auto bfloat = static_cast<std::uint16_t>(code);
    if (!std::isnan(device::Bfloat::load(bfloat))) {
      ASSERT_EQ(device::Bfloat::store(device::Bfloat::load(bfloat)), bfloat);
    }
  }
}

TEST(DeviceKernels, TellTheSizesOfTheirParameters) {
  EXPECT_EQ(tutti_fold_argument_bytes[0], sizeof(FoldArguments));
  EXPECT_EQ(tutti_one_pass_argument_bytes[0], sizeof(device::OnePassArguments));
  EXPECT_EQ(tutti_prepare_argument_bytes[0], sizeof(PrepareArguments));
  EXPECT_EQ(tutti_finish_argument_bytes[0], sizeof(FinishArguments));
  EXPECT_EQ(tutti_interpret_argument_bytes[0], sizeof(device::InterpretArguments));
  for (const unsigned* sizes : {tutti_fold_argument_bytes, tutti_one_pass_argument_bytes, tutti_prepare_argument_bytes,
                                tutti_finish_argument_bytes, tutti_interpret_argument_bytes})
    EXPECT_EQ(sizes[1], 0U);
}

}  // namespace
}  // namespace tutti::test
