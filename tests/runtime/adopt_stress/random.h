// Numbers by chance, the same for the same seed everywhere: those of the standard library's distributions are not.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tutti::stress {

// SplitMix64 (Steele, Lea, Flood 2014: Fast splittable pseudorandom number generators).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t operator()() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }
  std::size_t below(std::size_t end) { return (*this)() % end; }
  bool percent(unsigned chance) { return below(100) < chance; }
  // From 1 to below 2^bits; each power of two is as likely.
  std::size_t log_uniform(unsigned bits) {
    const std::size_t power = std::size_t{1} << below(bits);
    return power + below(power);
  }

 private:
  std::uint64_t state_;
};

}  // namespace tutti::stress
