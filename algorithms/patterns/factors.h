// Numbers of ranks as products of factors of at most k (the radix). Ranks are numbered by digits, one per factor, the nearest
// first: in the round of a factor f with stride s (the product of the factors before it) f ranks that differ in that digit only
// meet. So groups of neighbours grow by f, until there is one; or, backwards, one group falls apart.
//
//   12 = 4 * 3      round of 4: 0 1 2 3 | 4 5 6 7 | 8 9 10 11      round of 3: 0 4 8 | 1 5 9 | 2 6 10 | 3 7 11
//
// Source: M. Ruefenacht, M. Bull, S. Booth, "Generalisation of recursive doubling for AllReduce: Now with simulation", Parallel
// Computing 69 (2017).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "tutti/types.h"

namespace tutti {

class Factors {
 public:
  constexpr void append(Rank factor) noexcept {
    factor_[count_++] = factor;
    product_ *= factor;
  }
  [[nodiscard]] constexpr Rank product() const noexcept { return product_; }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return count_; }
  [[nodiscard]] constexpr operator std::span<const Rank>() const noexcept { return {factor_.data(), count_}; }
  [[nodiscard]] constexpr const Rank* begin() const noexcept { return factor_.data(); }
  [[nodiscard]] constexpr const Rank* end() const noexcept { return factor_.data() + count_; }
  friend constexpr bool operator==(const Factors&, const Factors&) = default;

 private:
  std::array<Rank, 31> factor_{};  // all of 2, at most
  std::size_t count_ = 0;
  Rank product_ = 1;
};

// The largest first; where there is a prime factor above the radix, it is left out and the product is not the number.
[[nodiscard]] constexpr Factors factors_of(Rank number, Rank radix) noexcept {
  Factors factors;
  for (Rank rest = number, f = std::min(number, radix); f > 1;)
    if (rest % f == 0)
      factors.append(f), rest /= f;
    else
      --f;
  return factors;
}

// Those of the number itself where it is such a product; else of one that is less, but more than its half: k * k * ... * f.
[[nodiscard]] constexpr Factors factors_within(Rank number, Rank radix) noexcept {
  if (const Factors exact = factors_of(number, radix); exact.product() == number) return exact;
  Factors factors;
  while (factors.product() <= number / radix) factors.append(radix);
  if (const Rank more = number / factors.product(); more > 1) factors.append(more);
  return factors;
}

// Those of the number itself where it is such a product; else of one that is larger, as few as can be: k * k * ... * f.
[[nodiscard]] constexpr Factors factors_covering(Rank number, Rank radix) noexcept {
  if (const Factors exact = factors_of(number, radix); exact.product() == number) return exact;
  Factors factors;
  const auto rest = [&] { return (number - 1) / factors.product() + 1; };
  while (rest() > radix) factors.append(radix);
  factors.append(rest());
  return factors;
}

static_assert(factors_of(12, 4).product() == 12 && factors_of(12, 4).size() == 2 && factors_of(10, 4).product() == 2);
static_assert(factors_within(7, 2).product() == 4 && factors_within(23, 4).product() == 16 &&
              factors_within(20, 6).product() == 20);
static_assert(factors_covering(7, 2).product() == 8 && factors_covering(23, 4).size() == 3 && factors_covering(1, 2).size() == 0);

}  // namespace tutti
