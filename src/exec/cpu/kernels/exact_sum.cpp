#include "kernels/exact_sum.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>

namespace tutti::kernels {
namespace {

constexpr int kDigitBits = 32;
constexpr int kMantissaBits = 52;

}  // namespace

void ExactSum::add(double x) noexcept {
  const auto code = std::bit_cast<std::uint64_t>(x);
  const bool negative = code >> 63 != 0;
  const int exponent = static_cast<int>(code >> kMantissaBits & 0x7ff);
  std::uint64_t mantissa = code & ((std::uint64_t{1} << kMantissaBits) - 1);
  if (exponent == 0x7ff) {
    (mantissa != 0 ? nan_ : infinite_[negative ? 1 : 0]) = true;
    return;
  }
  if (exponent > 0) mantissa |= std::uint64_t{1} << kMantissaBits;
  only_negative_zeros_ &= negative && mantissa == 0;
  if (++additions_ == kMostAdditions) carry();
  const int lowest = exponent > 0 ? exponent - 1 : 0;  // the bit that the mantissa's lowest one is
  std::size_t digit = static_cast<std::size_t>(lowest / kDigitBits);
  for (auto rest = static_cast<unsigned __int128>(mantissa) << lowest % kDigitBits; rest != 0; rest >>= kDigitBits, ++digit) {
    const auto part = static_cast<std::int64_t>(static_cast<std::uint32_t>(rest));
    digits_[digit] += negative ? -part : part;
  }
}

void ExactSum::carry() noexcept {
  for (std::size_t d = 0; d + 1 < kDigits; ++d) {
    digits_[d + 1] += digits_[d] >> kDigitBits;
    digits_[d] &= 0xffffffff;
  }
  additions_ = 0;
}

double ExactSum::rounded(int bits, int lowest) const noexcept {
  if (nan_ || (infinite_[0] && infinite_[1])) return std::numeric_limits<double>::quiet_NaN();
  if (infinite_[0] || infinite_[1]) return infinite_[1] ? -HUGE_VAL : HUGE_VAL;
  ExactSum magnitude = *this;
  magnitude.carry();
  const bool negative = magnitude.digits_.back() < 0;
  if (negative) {
    for (std::int64_t& digit : magnitude.digits_) digit = -digit;
    magnitude.carry();
  }
  const auto& digits = magnitude.digits_;
  const auto bit = [&](int at) {
    return at >= 0 && (digits[static_cast<std::size_t>(at / kDigitBits)] >> at % kDigitBits & 1) != 0;
  };
  int highest = kDigits * kDigitBits - 1;
  while (highest >= 0 && !bit(highest)) --highest;
  if (highest < 0) return only_negative_zeros_ ? -0.0 : 0.0;
  const int last = std::max(highest - bits + 1, lowest);
  std::uint64_t mantissa = 0;
  for (int at = highest; at >= last; --at) mantissa = mantissa << 1 | static_cast<std::uint64_t>(bit(at));
  bool more = false;  // than a half is cut off
  for (int at = 0; at < last - 1 && !more; ++at) more = bit(at);
  if (bit(last - 1) && (more || mantissa % 2 == 1)) ++mantissa;
  const double value = std::ldexp(static_cast<double>(mantissa), last - 1074);
  return negative ? -value : value;
}

}  // namespace tutti::kernels
