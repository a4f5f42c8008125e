// Where the operands lie: tails of every length, odd addresses, results in place, stores past the cache, users' functions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "instruction_sets.h"
#include "kernels/kernels.h"
#include "reference.h"

namespace tutti::test {
namespace {

class Placement : public EveryInstructionSet {};
INSTANTIATE_TEST_SUITE_P(On, Placement, testing::ValuesIn(instruction_sets()), instruction_set_name);

constexpr std::byte kCanary{0xa5};

// A heap block that ends exactly with the data (so that a sanitizer sees reads beyond it), the data shifted by `offset`.
struct Shifted {
  Shifted(const Buffer& data, std::size_t offset_bytes) : block(offset_bytes, kCanary), offset(offset_bytes) {
    block.insert(block.end(), data.begin(), data.end());
    block.shrink_to_fit();
  }
  std::byte* data() { return block.data() + offset; }
  Buffer block;
  std::size_t offset;
};

TEST_P(Placement, EveryTailLengthAtOddAddressesTouchesNothingElse) {
  for (const DataType type : all_types()) {
    const std::size_t size = size_of(type);
    for (std::size_t count = 0; count <= 130; ++count) {
      const std::vector<Buffer> in = make_inputs(type, 2 + count / 2 % 2, count);
      Shifted a(in[0], count % 5), b(in[1], 3), c(in.back(), 1);
      Buffer out((count + 40) * size + 7, kCanary);
      std::byte* to = out.data() + 7;
      std::vector<const void*> pointers{a.data(), b.data()};
      if (in.size() == 3) pointers.push_back(c.data());
      kernels::fold({.kind = ReduceKind::prod}, type, pointers, to, count);
      if (count > 0) {
        const Buffer expected = reference_fold(ReduceKind::prod, type, in);
        ASSERT_EQ(first_difference(type, to, expected.data(), count), -1) << name(type) << " x " << count;
      }
      const auto kept = [](std::byte byte) { return byte == kCanary; };
      ASSERT_TRUE(std::all_of(out.begin(), out.begin() + 7, kept)) << name(type) << " x " << count;
      ASSERT_TRUE(std::all_of(out.begin() + 7 + static_cast<std::ptrdiff_t>(count * size), out.end(), kept))
          << name(type) << " x " << count;
    }
  }
}

TEST_P(Placement, ResultMayBeAnyInput) {
  for (const DataType type : all_types()) {
    for (const std::size_t count : {1, 5, 6, 63, 64, 130, 131, 3000, 3001}) {
      const std::vector<Buffer> in = make_inputs(type, count % 2 == 0 ? 2 : 4, count);
      const Buffer expected = reference_fold(ReduceKind::sum, type, in);
      for (std::size_t place = 0; place < in.size(); ++place) {
        std::vector<Buffer> work = in;
        kernels::fold({}, type, addresses(work), work[place].data(), count);
        ASSERT_EQ(first_difference(type, work[place].data(), expected.data(), count), -1) << name(type) << " in " << place;
        for (std::size_t other = 0; other < in.size(); ++other) {
          if (other != place) {
            ASSERT_EQ(work[other], in[other]) << name(type);
          }
        }
      }
    }
  }
}

TEST_P(Placement, LeftRightAndResultMayBeOne) {
  std::vector<std::int32_t> data(100);
  std::iota(data.begin(), data.end(), 1);
  kernels::reduce2({}, DataType::i32, data.data(), data.data(), data.data(), data.size());
  for (int i = 0; i < 100; ++i) ASSERT_EQ(data[i], 2 * (i + 1));
}

TEST_P(Placement, StreamedResultsAreTheSame) {
  for (const DataType type : all_types()) {
    for (const std::size_t count : {1, 100, 5000}) {
      for (const std::size_t offset : {0, 1, 8, 63}) {
        const std::vector<Buffer> in = make_inputs(type, offset == 8 ? 2 : 3, count);
        Buffer out(offset + count * size_of(type) + 1, kCanary);
        kernels::fold({.kind = ReduceKind::avg}, type, addresses(in), out.data() + offset, count, {.past_caches = true});
        const Buffer expected = reference_fold(ReduceKind::sum, type, in);
        if (!supports(ReduceKind::avg, type)) continue;
        ASSERT_EQ(first_difference(type, out.data() + offset, expected.data(), count), -1) << name(type) << " x " << count;
        ASSERT_EQ(out.back(), kCanary);
      }
    }
  }
}

TEST_P(Placement, StreamingInPlaceAndWithDivision) {
  std::vector<Buffer> in = make_inputs(DataType::i16, 2, 9000);
  const Buffer expected = reference_fold(ReduceKind::avg, DataType::i16, in, 2);
  Buffer out(18000);
  const ReduceOp average{.kind = ReduceKind::avg};
  kernels::fold(average, DataType::i16, addresses(in), out.data(), 9000, {.past_caches = true, .average_over = 2});
  EXPECT_EQ(out, expected);
  kernels::fold(average, DataType::i16, addresses(in), in[1].data(), 9000, {.past_caches = true, .average_over = 2});
  EXPECT_EQ(in[1], expected);
}

TEST_P(Placement, IntegerMeanInPlaceOverManyTiles) {
  for (std::size_t place = 0; place < 3; ++place) {
    std::vector<Buffer> in = make_inputs(DataType::i32, 3, 10007);
    const Buffer expected = reference_fold(ReduceKind::avg, DataType::i32, in, 3);
    kernels::fold({.kind = ReduceKind::avg}, DataType::i32, addresses(in), in[place].data(), 10007, {.average_over = 3});
    EXPECT_EQ(in[place], expected) << place;
  }
}

TEST_P(Placement, Copies) {
  for (const std::size_t bytes : {0, 1, 63, 64, 65, 200, 100000}) {
    for (const std::size_t from : {0, 1, 17}) {
      for (const std::size_t to : {0, 1, 32, 63}) {
        for (const bool past_caches : {false, true}) {
          Buffer source = make_input(DataType::u8, from + bytes + 1, 3);
          Buffer target(to + bytes + 5, kCanary);
          kernels::copy(target.data() + to, source.data() + from, bytes, past_caches);
          ASSERT_TRUE(std::equal(target.begin() + static_cast<std::ptrdiff_t>(to), target.end() - 5,
                                 source.begin() + static_cast<std::ptrdiff_t>(from)));
          ASSERT_EQ(std::count(target.end() - 5, target.end(), kCanary), 5);
          ASSERT_EQ(std::count(target.begin(), target.begin() + static_cast<std::ptrdiff_t>(to), kCanary),
                    static_cast<std::ptrdiff_t>(to));
        }
      }
    }
  }
}

TEST(OneInput, IsCopiedAsItIs) {
  for (const DataType type : all_types()) {
    const Buffer in = make_input(type, 500, 11);
    Buffer out(in.size());
    const void* only = in.data();
    kernels::fold({.kind = ReduceKind::sum}, type, {&only, 1}, out.data(), 500);
    EXPECT_EQ(out, in) << name(type);
  }
}

TEST(NoInput, LeavesTheResultUntouched) {
  int untouched = 5;
  kernels::fold({}, DataType::i32, {}, &untouched, 1);
  EXPECT_EQ(untouched, 5);
  kernels::reduce2({}, DataType::i32, nullptr, nullptr, nullptr, 0);
}

// 2x2 matrices: associative, not commutative.
struct Matrix {
  std::uint32_t a, b, c, d;
  friend Matrix operator*(const Matrix& l, const Matrix& r) {
    return {l.a * r.a + l.b * r.c, l.a * r.b + l.b * r.d, l.c * r.a + l.d * r.c, l.c * r.b + l.d * r.d};
  }
  friend bool operator==(const Matrix&, const Matrix&) = default;
};

// As a user would pass it: c128 elements carry the four numbers.
void multiply_matrices(const void* in, void* inout, std::size_t count, DataType type, void* context) noexcept {
  ASSERT_EQ(type, DataType::c128);
  *static_cast<std::size_t*>(context) += count;
  const auto* left = static_cast<const Matrix*>(in);
  auto* right = static_cast<Matrix*>(inout);
  for (std::size_t i = 0; i < count; ++i) right[i] = left[i] * right[i];
}

class UserOperator : public testing::Test {
 protected:
  static constexpr std::size_t kCount = 5000;  // many tiles
  void SetUp() override {
    for (std::uint32_t s = 0; s < 4; ++s) {
      std::vector<Matrix> made(kCount);
      for (std::uint32_t i = 0; i < kCount; ++i) made[i] = {s + i, 2 * i + 1, s * s + 1, i ^ s};
      in_.push_back(std::move(made));
    }
    for (std::uint32_t i = 0; i < kCount; ++i) expected_.push_back(in_[0][i] * in_[1][i] * in_[2][i] * in_[3][i]);
  }
  std::vector<const void*> pointers() const { return {in_[0].data(), in_[1].data(), in_[2].data(), in_[3].data()}; }

  std::size_t elements_ = 0;
  ReduceOp op_{.kind = ReduceKind::user, .commutative = false, .user = {&multiply_matrices, &elements_}};
  std::vector<std::vector<Matrix>> in_;
  std::vector<Matrix> expected_;
};

TEST_F(UserOperator, KeepsTheOrderOfInputs) {
  std::vector<Matrix> out(kCount);
  kernels::fold(op_, DataType::c128, pointers(), out.data(), kCount);
  EXPECT_EQ(out, expected_);
  EXPECT_EQ(elements_, 3 * kCount) << "each element is combined p - 1 times";
}

TEST_F(UserOperator, MayStoreIntoAnyInput) {
  const auto original = in_;
  for (std::size_t place = 0; place < 4; ++place) {
    in_ = original;
    kernels::fold(op_, DataType::c128, pointers(), in_[place].data(), kCount);
    EXPECT_EQ(in_[place], expected_) << place;
  }
}

TEST_F(UserOperator, ReducesTwoIntoEither) {
  std::vector<Matrix> expected(kCount);
  for (std::size_t i = 0; i < kCount; ++i) expected[i] = in_[0][i] * in_[1][i];
  std::vector<Matrix> left = in_[0], right = in_[1], out(kCount);
  kernels::reduce2(op_, DataType::c128, left.data(), right.data(), out.data(), kCount);
  EXPECT_EQ(out, expected);
  kernels::reduce2(op_, DataType::c128, left.data(), in_[1].data(), left.data(), kCount);
  EXPECT_EQ(left, expected);
  kernels::reduce2(op_, DataType::c128, in_[0].data(), right.data(), right.data(), kCount);
  EXPECT_EQ(right, expected);
}

}  // namespace
}  // namespace tutti::test
