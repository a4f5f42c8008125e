// The sum of any f64 numbers, without an error until it is rounded.
#pragma once

#include <array>
#include <cstdint>

namespace tutti::kernels {

// A number with as many bits as it takes, in digits of 32 bits: digit d counts 2^(32 d - 1074), so the smallest number of f64 is
// the lowest bit. (U. Kulisch's long accumulator, "Computer Arithmetic and Validity", 2013; here with carries that are put off.)
class ExactSum {
 public:
  void add(double x) noexcept;
  // To the nearest, ties to even. What holds a NaN, or infinities of both signs, gives a quiet NaN.
  [[nodiscard]] double to_f64() const noexcept { return rounded(53, 0); }
  [[nodiscard]] float to_f32() const noexcept { return static_cast<float>(rounded(24, kLowestOfF32)); }

 private:
  static constexpr int kDigits = 67, kLowestOfF32 = 1074 - 149;
  static constexpr std::uint32_t kMostAdditions = 1U << 30;

  // To so many bits, none of them below bit `lowest`.
  [[nodiscard]] double rounded(int bits, int lowest) const noexcept;
  void carry() noexcept;  // after it digits are 0 to 2^32-1, but for the last one, which has the sign

  std::array<std::int64_t, kDigits> digits_{};
  std::uint32_t additions_ = 0;  // since the last carry
  bool nan_ = false, infinite_[2] = {};
  bool only_negative_zeros_ = true;
};

}  // namespace tutti::kernels
