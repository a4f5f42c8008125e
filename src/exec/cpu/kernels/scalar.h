// A factor as it lies in memory.
#pragma once

#include <cstdint>

#include "tutti/types.h"

namespace tutti::kernels {

struct Scalar {
  double value = 1;           // rounded, of 64-bit integers
  std::uint64_t integer = 1;  // of integers and booleans: the same, exactly, modulo 2^64
  // Whether `value` says it all.
  [[nodiscard]] bool exact(DataType type) const noexcept;
};

// A number of the type; of complex ones, of their parts.
[[nodiscard]] Scalar read_scalar(const void* memory, DataType type) noexcept;
[[nodiscard]] std::size_t scalar_bytes(DataType type) noexcept;

}  // namespace tutti::kernels
