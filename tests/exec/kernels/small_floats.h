// Independent conversions of 16- and 8-bit floats for the tests: from the definition of the formats, by search in the table of
// all values instead of bit manipulation.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace tutti::test {

struct Format {
  int exponent_bits;
  int mantissa_bits;
  bool finite;  // no infinity, one NaN per sign
};
inline constexpr Format kF16{5, 10, false};
inline constexpr Format kBf16{8, 7, false};
inline constexpr Format kE4m3{4, 3, true};
inline constexpr Format kE5m2{5, 2, false};

// The value of a code, from the definition.
inline double value_of(const Format& f, std::uint32_t code) {
  const std::uint32_t mantissa = code % (1u << f.mantissa_bits);
  const std::uint32_t exponent = code >> f.mantissa_bits & ((1u << f.exponent_bits) - 1);
  const bool negative = code >> (f.mantissa_bits + f.exponent_bits) & 1;
  const bool top = exponent == (1u << f.exponent_bits) - 1;
  const int bias = (1 << (f.exponent_bits - 1)) - 1;
  const double fraction = std::ldexp(mantissa, -f.mantissa_bits);
  double value = exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, static_cast<int>(exponent) - bias);
  if (top && f.finite && mantissa == (1u << f.mantissa_bits) - 1) value = std::numeric_limits<double>::quiet_NaN();
  if (top && !f.finite) {
    value = mantissa == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  }
  return negative ? -value : value;
}

// Rounds f32 numbers to the nearest value of a format, ties to the even code, by looking among all its values.
class Rounder {
 public:
  explicit Rounder(const Format& format) : format_(format) {
    const std::uint32_t codes = 1u << (format.exponent_bits + format.mantissa_bits);
    for (std::uint32_t code = 0; code < codes && std::isfinite(value_of(format, code)); ++code)
      values_.push_back(value_of(format, code));
    const int bias = (1 << (format.exponent_bits - 1)) - 1;
    const int top = (1 << format.exponent_bits) - 1 - bias - (format.finite ? 0 : 1);
    const double unit = std::ldexp(1.0, top - format.mantissa_bits);
    overflow_ = values_.back() + unit / 2;
  }

  [[nodiscard]] std::uint32_t operator()(float x) const {
    const std::uint32_t sign = std::signbit(x) ? 1u << (format_.exponent_bits + format_.mantissa_bits) : 0;
    if (std::isnan(x)) return sign | (static_cast<std::uint32_t>(values_.size()) + (format_.finite ? 0 : 1));
    const double magnitude = std::fabs(static_cast<double>(x));
    const auto last = static_cast<std::uint32_t>(values_.size() - 1);
    // Beyond the largest value the next code is infinity, or the NaN of a finite format; the tie goes to the even code.
    if (magnitude > overflow_ || (magnitude == overflow_ && last % 2 == 1)) return sign | (last + 1);
    const auto above = static_cast<std::uint32_t>(std::lower_bound(values_.begin(), values_.end(), magnitude) - values_.begin());
    if (above > last) return sign | last;
    if (above == 0 || values_[above] == magnitude) return sign | above;
    const double down = magnitude - values_[above - 1];
    const double up = values_[above] - magnitude;
    if (down == up) return sign | (above % 2 == 0 ? above : above - 1);
    return sign | (down < up ? above - 1 : above);
  }
  [[nodiscard]] double value(std::uint32_t code) const { return value_of(format_, code); }
  [[nodiscard]] bool is_nan(std::uint32_t code) const { return std::isnan(value_of(format_, code)); }

 private:
  Format format_;
  std::vector<double> values_;  // of the codes 0, 1, ... up to the largest finite one
  double overflow_;
};

}  // namespace tutti::test
