// Which part of a large message travels on which rail: a contiguous one each, as large as the rail is fast. Both ends compute it
// from the size and what they agreed on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tutti::verbs {

class Stripes {
 public:
  struct Part {
    std::size_t offset = 0, bytes = 0;
  };

  Stripes() = default;
  // `speeds` of the rails, in any unit; smaller messages than `stripe_from` use the first only.
  Stripes(std::span<const std::uint32_t> speeds, std::size_t stripe_from) : stripe_from_(stripe_from) {
    for (const std::uint32_t speed : speeds) sums_.push_back((sums_.empty() ? 0 : sums_.back()) + speed);
  }

  [[nodiscard]] Part part(std::size_t bytes, std::size_t rail) const noexcept {
    if (bytes < stripe_from_ || sums_.size() == 1) return rail == 0 ? Part{0, bytes} : Part{bytes, 0};
    const std::size_t begin = rail == 0 ? 0 : end(bytes, rail - 1);
    return {begin, end(bytes, rail) - begin};
  }

 private:
  static constexpr std::size_t kUnit = 4096;

  [[nodiscard]] std::size_t end(std::size_t bytes, std::size_t rail) const noexcept {
    if (rail + 1 == sums_.size()) return bytes;
    const double part = static_cast<double>(bytes) * static_cast<double>(sums_[rail]) / static_cast<double>(sums_.back());
    return static_cast<std::size_t>(part) / kUnit * kUnit;
  }

  std::vector<std::uint64_t> sums_;
  std::size_t stripe_from_ = 0;
};

}  // namespace tutti::verbs
