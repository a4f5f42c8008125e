// What the kernels must compute, one element after the other and written for clarity: integers in 128 bits and cut down,
// small floats through the table of their values.
#pragma once

#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <type_traits>
#include <vector>

#include "small_floats.h"
#include "tutti/types.h"

namespace tutti::test {

using Buffer = std::vector<std::byte>;

inline const Rounder& rounder(DataType type) {
  static const Rounder f16(kF16), bf16(kBf16), e4m3(kE4m3), e5m2(kE5m2);
  return type == DataType::f16 ? f16 : type == DataType::bf16 ? bf16 : type == DataType::f8e4m3 ? e4m3 : e5m2;
}

inline bool is_small_float(DataType type) {
  return type == DataType::f16 || type == DataType::bf16 || type == DataType::f8e4m3 || type == DataType::f8e5m2;
}

// Calls with(T{}) for the C++ type that holds the values of a DataType; small floats are held as float.
template <class With>
auto as_type(DataType type, With with) {
  switch (type) {
    case DataType::i8:
      return with(std::int8_t{});
    case DataType::u8:
      return with(std::uint8_t{});
    case DataType::i16:
      return with(std::int16_t{});
    case DataType::u16:
      return with(std::uint16_t{});
    case DataType::i32:
      return with(std::int32_t{});
    case DataType::u32:
      return with(std::uint32_t{});
    case DataType::i64:
      return with(std::int64_t{});
    case DataType::u64:
      return with(std::uint64_t{});
    case DataType::f64:
      return with(double{});
    case DataType::boolean:
      return with(bool{});
    case DataType::c64:
      return with(std::complex<float>{});
    case DataType::c128:
      return with(std::complex<double>{});
    default:
      return with(float{});  // f32 and the small floats
  }
}

template <class T>
T load(DataType type, const std::byte* at) {
  if constexpr (std::is_same_v<T, float>) {
    if (is_small_float(type)) {
      std::uint16_t code = 0;
      std::memcpy(&code, at, size_of(type));
      return static_cast<float>(rounder(type).value(code));
    }
  }
  if constexpr (std::is_same_v<T, bool>) return *at != std::byte{0};
  T value;
  std::memcpy(static_cast<void*>(&value), at, sizeof(T));
  return value;
}

template <class T>
void store(DataType type, T value, std::byte* at) {
  if constexpr (std::is_same_v<T, float>) {
    if (is_small_float(type)) {
      const auto code = static_cast<std::uint16_t>(rounder(type)(value));
      std::memcpy(at, &code, size_of(type));
      return;
    }
  }
  std::memcpy(at, static_cast<const void*>(&value), sizeof(T));
}

template <class T>
bool truth(T v) {
  return v != T{};
}

template <class T>
T combine_integer(ReduceKind kind, T a, T b) {
  using Wide = __int128;
  switch (kind) {
    case ReduceKind::sum:
    case ReduceKind::avg:
    case ReduceKind::premul_sum:
      return static_cast<T>(static_cast<Wide>(a) + b);
    // Unsigned: the lowest bits of a product do not depend on signs.
    case ReduceKind::prod:
      return static_cast<T>(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b));
    case ReduceKind::min:
      return a < b ? a : b;
    case ReduceKind::max:
      return a > b ? a : b;
    case ReduceKind::band:
      return static_cast<T>(a & b);
    case ReduceKind::bor:
      return static_cast<T>(a | b);
    case ReduceKind::bxor:
      return static_cast<T>(a ^ b);
    case ReduceKind::land:
      return static_cast<T>(truth(a) && truth(b));
    case ReduceKind::lor:
      return static_cast<T>(truth(a) || truth(b));
    case ReduceKind::lxor:
      return static_cast<T>(truth(a) != truth(b));
    case ReduceKind::user:
      break;
  }
  return T{};
}

inline bool combine_bool(ReduceKind kind, bool a, bool b) {
  switch (kind) {
    case ReduceKind::prod:
    case ReduceKind::min:
    case ReduceKind::band:
    case ReduceKind::land:
      return a && b;
    case ReduceKind::bxor:
    case ReduceKind::lxor:
      return a != b;
    default:
      return a || b;
  }
}

template <class T>
T combine_float(ReduceKind kind, T a, T b) {
  switch (kind) {
    case ReduceKind::prod:
      return a * b;
    case ReduceKind::min:
    case ReduceKind::max: {
      if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<T>::quiet_NaN();
      const bool b_is_lower = b < a || (a == b && std::signbit(b));
      return b_is_lower == (kind == ReduceKind::min) ? b : a;
    }
    case ReduceKind::land:
      return truth(a) && truth(b);
    case ReduceKind::lor:
      return truth(a) || truth(b);
    case ReduceKind::lxor:
      return truth(a) != truth(b);
    default:
      return a + b;
  }
}

template <class T>
std::complex<T> combine_complex(ReduceKind kind, std::complex<T> a, std::complex<T> b) {
  if (kind != ReduceKind::prod) return {a.real() + b.real(), a.imag() + b.imag()};
  // volatile: each product is rounded before the sum, whatever the compiler would like to fuse.
  const volatile T rr = a.real() * b.real(), ii = a.imag() * b.imag(), ri = a.real() * b.imag(), ir = a.imag() * b.real();
  return {rr - ii, ri + ir};
}

inline bool combine(ReduceKind kind, bool a, bool b) { return combine_bool(kind, a, b); }
inline float combine(ReduceKind kind, float a, float b) { return combine_float(kind, a, b); }
inline double combine(ReduceKind kind, double a, double b) { return combine_float(kind, a, b); }
template <class T>
std::complex<T> combine(ReduceKind kind, std::complex<T> a, std::complex<T> b) {
  return combine_complex(kind, a, b);
}
template <class T>
T combine(ReduceKind kind, T a, T b) {
  return combine_integer(kind, a, b);
}

template <class T>
T divided(T value, int ranks) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<__int128>(value) / ranks);
  } else if constexpr (std::is_floating_point_v<T>) {
    return value / static_cast<T>(ranks);
  } else {
    const auto divisor = static_cast<typename T::value_type>(ranks);
    return {value.real() / divisor, value.imag() / divisor};
  }
}

// Of the inputs' elements at a place, in the canonical tree.
template <class T>
T reference_tree(ReduceKind kind, DataType type, std::span<const Buffer> inputs, std::size_t at) {
  if (inputs.size() == 1) return load<T>(type, &inputs[0][at]);
  std::size_t split = 1;
  while (2 * split < inputs.size()) split *= 2;
  return combine(kind, reference_tree<T>(kind, type, inputs.first(split), at),
                 reference_tree<T>(kind, type, inputs.subspan(split), at));
}

// The same from the first to the last.
template <class T>
T reference_chain(ReduceKind kind, DataType type, std::span<const Buffer> inputs, std::size_t at) {
  T acc = load<T>(type, &inputs[0][at]);
  for (const Buffer& next : inputs.subspan(1)) acc = combine(kind, acc, load<T>(type, &next[at]));
  return acc;
}

enum class Order { tree, chain };

// ranks > 0: divide the result.
inline Buffer reference_fold(ReduceKind kind, DataType type, std::span<const Buffer> inputs, int ranks = 0,
                             Order order = Order::tree) {
  Buffer out(inputs[0].size());
  as_type(type, [&]<class T>(T) {
    for (std::size_t at = 0; at < out.size(); at += size_of(type)) {
      T acc = order == Order::tree ? reference_tree<T>(kind, type, inputs, at) : reference_chain<T>(kind, type, inputs, at);
      if constexpr (!std::is_same_v<T, bool>) {
        if (ranks > 0) acc = divided(acc, ranks);
      }
      store(type, acc, &out[at]);
    }
  });
  return out;
}

template <class T>
bool equal_value(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    return (std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof(T)) == 0;
  } else if constexpr (std::is_integral_v<T>) {
    return a == b;
  } else {
    return equal_value(a.real(), b.real()) && equal_value(a.imag(), b.imag());
  }
}

// The first element in which two buffers differ, or -1. A NaN equals any NaN; all else is compared bit by bit.
inline std::ptrdiff_t first_difference(DataType type, const std::byte* a, const std::byte* b, std::size_t count) {
  return as_type(type, [&]<class T>(T) -> std::ptrdiff_t {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = i * size_of(type);
      const bool same_bits = std::memcmp(a + at, b + at, size_of(type)) == 0;
      if (same_bits) continue;
      if (!std::is_same_v<T, bool> && equal_value(load<T>(type, a + at), load<T>(type, b + at))) continue;
      return static_cast<std::ptrdiff_t>(i);
    }
    return -1;
  });
}

// Elements of every sort: random bits (so NaNs, infinities and subnormals occur), zeros of both signs, small numbers.
inline Buffer make_input(DataType type, std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  Buffer bytes(count * size_of(type));
  as_type(type, [&]<class T>(T) {
    for (std::size_t i = 0; i < count; ++i) {
      std::byte* at = &bytes[i * size_of(type)];
      for (std::size_t b = 0; b < size_of(type); ++b) at[b] = static_cast<std::byte>(random());
      const std::uint32_t choice = random() % 8;
      const int small = static_cast<int>(random() % 9) - 4;
      if (choice < 4) store(type, static_cast<T>(static_cast<float>(std::is_unsigned_v<T> ? std::abs(small) : small)), at);
      if (choice == 4) std::memset(at, 0, size_of(type));
      if (choice == 5 && std::is_floating_point_v<T>) store(type, static_cast<T>(-0.0F), at);
    }
  });
  return bytes;
}

inline std::vector<Buffer> make_inputs(DataType type, std::size_t inputs, std::size_t count) {
  std::vector<Buffer> made;
  for (std::size_t i = 0; i < inputs; ++i)
    made.push_back(make_input(type, count, static_cast<std::uint32_t>(100 * i + static_cast<std::size_t>(type))));
  return made;
}

inline std::vector<const void*> addresses(const std::vector<Buffer>& buffers) {
  std::vector<const void*> all;
  for (const Buffer& b : buffers) all.push_back(b.data());
  return all;
}

inline std::vector<DataType> all_types() {
  std::vector<DataType> types;
  for (int t = 0; t < kDataTypes; ++t) types.push_back(static_cast<DataType>(t));
  return types;
}

inline std::vector<ReduceKind> built_in_kinds() {
  std::vector<ReduceKind> kinds;
  for (int k = 0; k < kReduceKinds; ++k)
    if (static_cast<ReduceKind>(k) != ReduceKind::user) kinds.push_back(static_cast<ReduceKind>(k));
  return kinds;
}

}  // namespace tutti::test
