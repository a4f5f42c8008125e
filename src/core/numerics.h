// In which order a step combines several operands, and what it adds up in.
#pragma once

#include <bit>
#include <cstdint>

namespace tutti {

enum class Accumulation : std::uint8_t {
  usual,  // the type; of 16- and 8-bit floats f32
  f64,    // of f32 and what consists of it
  exact,  // the sum as it is, rounded in the end; of 16- and 8-bit floats first to f32
};

// The canonical tree, in which operands are combined wherever nobody asks for another order: of n > 1 operands the first 2^k, for
// the greatest 2^k < n, are combined among themselves, and so are the others; then both results. Ranks' contributions meet like
// that in binomial trees and in recursive doubling, too.
constexpr std::uint64_t canonical_split(std::uint64_t operands) { return std::bit_floor(operands - 1); }

}  // namespace tutti
