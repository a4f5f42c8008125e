#include "kernels/scalar.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace tutti::kernels {
namespace {

template <class T>
T load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
Scalar whole(const void* from) {
  const T value = load<T>(from);
  return {static_cast<double>(value), static_cast<std::uint64_t>(value)};
}

// Sign, `exponent` and `mantissa` bits; without `infinities` only all ones are no number (e4m3 of the OCP specification).
Scalar small_float(unsigned bits, int exponent, int mantissa, bool infinities) {
  const int most = (1 << exponent) - 1, bias = most >> 1;
  const int e = static_cast<int>(bits >> mantissa) & most, m = static_cast<int>(bits & ((1U << mantissa) - 1));
  const double sign = (bits >> (exponent + mantissa)) & 1 ? -1 : 1;
  if (e == most && infinities) return {m != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * INFINITY};
  if (e == most && m == (1 << mantissa) - 1) return {std::numeric_limits<double>::quiet_NaN()};
  return {sign * (e == 0 ? std::ldexp(m, 1 - bias - mantissa) : std::ldexp(m + (1 << mantissa), e - bias - mantissa))};
}

}  // namespace

bool Scalar::exact(DataType type) const noexcept {
  if (type != DataType::i64 && type != DataType::u64) return true;
  const double limit = type == DataType::i64 ? 0x1p63 : 0x1p64;
  if (value >= limit) return false;  // rounded up
  return type == DataType::i64 ? static_cast<std::uint64_t>(static_cast<std::int64_t>(value)) == integer
                               : static_cast<std::uint64_t>(value) == integer;
}

std::size_t scalar_bytes(DataType type) noexcept {
  const bool parts = type == DataType::c64 || type == DataType::c128;
  return size_of(type) / (parts ? 2 : 1);
}

Scalar read_scalar(const void* memory, DataType type) noexcept {
  switch (type) {
    case DataType::i8:
      return whole<std::int8_t>(memory);
    case DataType::u8:
    case DataType::boolean:
      return whole<std::uint8_t>(memory);
    case DataType::i16:
      return whole<std::int16_t>(memory);
    case DataType::u16:
      return whole<std::uint16_t>(memory);
    case DataType::i32:
      return whole<std::int32_t>(memory);
    case DataType::u32:
      return whole<std::uint32_t>(memory);
    case DataType::i64:
      return whole<std::int64_t>(memory);
    case DataType::u64:
      return whole<std::uint64_t>(memory);
    case DataType::f16:
      return small_float(load<std::uint16_t>(memory), 5, 10, true);
    case DataType::bf16:
      return small_float(load<std::uint16_t>(memory), 8, 7, true);
    case DataType::f8e4m3:
      return small_float(load<std::uint8_t>(memory), 4, 3, false);
    case DataType::f8e5m2:
      return small_float(load<std::uint8_t>(memory), 5, 2, true);
    case DataType::f32:
    case DataType::c64:
      return {load<float>(memory)};
    case DataType::f64:
    case DataType::c128:
      return {load<double>(memory)};
  }
  return {};
}

}  // namespace tutti::kernels
