// Element types and operators, one element at a time: the semantics at the top of src/exec/cpu/kernels/kernels.h, bit by bit (but
// for the payload of a NaN). Compile without fused multiply-add.
//
// Device code is templates of constexpr functions, which nvcc compiles for GPUs as they stand (--expt-relaxed-constexpr); what a
// machine has instructions of its own for is asked of its Machine.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/operation.h"

namespace tutti::device {

template <std::size_t kBytes>
using Bits = std::conditional_t<
    kBytes == 1, std::uint8_t,
    std::conditional_t<kBytes == 2, std::uint16_t, std::conditional_t<kBytes == 4, std::uint32_t, std::uint64_t>>>;

// A float of at most 16 bits with fewer exponent bits than f32, by integer arithmetic. kFinite: no infinity, only the code with
// all bits set is NaN. (The same algorithm on vectors: src/exec/cpu/kernels/small_floats-inl.h.)
template <int kExponentBits, int kMantissaBits, bool kFinite>
struct Code {
  static constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  static constexpr int kShift = 23 - kMantissaBits;
  static constexpr std::uint32_t kMagnitude = (1U << (kExponentBits + kMantissaBits)) - 1;
  static constexpr std::uint32_t kInfinity = kMagnitude & ~((1U << kMantissaBits) - 1);
  static constexpr std::uint32_t kNan = kFinite ? kMagnitude : kInfinity | (1U << (kMantissaBits - 1));
  static constexpr std::uint32_t kOverflow = kFinite ? kNan : kInfinity;
  static constexpr std::uint32_t kRebias = (127U - kBias) << 23;
  static constexpr std::uint32_t kMinNormal = kRebias + (1U << 23);  // of the code, as the bits of an f32
  // The f32 whose unit in the last place is the code's smallest subnormal.
  static constexpr std::uint32_t kMagic = (127U + 23 + 1 - kBias - kMantissaBits) << 23;

  static constexpr float decode(std::uint32_t code) {
    const std::uint32_t sign = (code & (kMagnitude + 1)) << (31 - kExponentBits - kMantissaBits);
    const std::uint32_t magnitude = (code & kMagnitude) << kShift;
    std::uint32_t bits = magnitude + kRebias;
    if (bits < kMinNormal)
      bits = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude + kMinNormal) - std::bit_cast<float>(kMinNormal));
    if (magnitude >= (kFinite ? kNan : kInfinity) << kShift) bits = magnitude | 0x7f800000;
    return std::bit_cast<float>(sign | bits);
  }

  static constexpr std::uint32_t encode(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t magnitude = bits & 0x7fffffff;
    const std::uint32_t sign = bits >> (31 - kExponentBits - kMantissaBits) & (kMagnitude + 1);
    if (magnitude > 0x7f800000) return sign | kNan;
    if (magnitude < kMinNormal) {
      const float shifted = std::bit_cast<float>(magnitude) + std::bit_cast<float>(kMagic);
      return sign | (std::bit_cast<std::uint32_t>(shifted) - kMagic);
    }
    // To the nearest, ties to even: add just less than half a unit, and one more where the last kept bit is odd.
    const std::uint32_t odd = magnitude >> kShift & 1;
    const std::uint32_t code = (magnitude + odd + ((1U << (kShift - 1)) - 1) - kRebias) >> kShift;
    return sign | (code < kOverflow ? code : kOverflow);
  }
};

using Half = Code<5, 10, false>;
using E4m3 = Code<4, 3, true>;
using E5m2 = Code<5, 2, false>;

// ---- how a type is stored (Element) and computed (Value)

template <class T>
struct Direct {
  using Element = T;
  using Value = T;
  static constexpr Value load(Element e) { return e; }
  static constexpr Element store(Value v) { return v; }
};

template <class Machine>
struct HalfLanes {
  using Element = std::uint16_t;
  using Value = float;
  static constexpr Value load(Element e) { return Machine::half_to_float(e); }
  static constexpr Element store(Value v) { return Machine::float_to_half(v); }
};

// The upper half of an f32.
struct Bfloat {
  using Element = std::uint16_t;
  using Value = float;
  static constexpr Value load(Element e) { return std::bit_cast<float>(std::uint32_t{e} << 16); }
  static constexpr Element store(Value v) {
    const auto bits = std::bit_cast<std::uint32_t>(v);
    if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<Element>(bits >> 16 | 0x40);
    return static_cast<Element>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
};

template <class Format>
struct Coded {
  using Element = std::uint8_t;
  using Value = float;
  static constexpr Value load(Element e) { return Format::decode(e); }
  static constexpr Element store(Value v) { return static_cast<Element>(Format::encode(v)); }
};

template <class T>
struct Complex {
  T re, im;
};

// ---- operators: enter (on every input), combine (of two), leave (on the result)

struct Plain {
  template <class V>
  constexpr V enter(V v) const {
    return v;
  }
  template <class V>
  constexpr V leave(V v) const {
    return v;
  }
};

// Integers are computed without a sign, so that they wrap around.
template <class V>
using Wrapping = std::conditional_t<sizeof(V) == 8, std::uint64_t, std::uint32_t>;

struct Sum : Plain {
  template <class V>
  constexpr V combine(V a, V b) const {
    if constexpr (std::is_integral_v<V>)
      return static_cast<V>(static_cast<Wrapping<V>>(a) + static_cast<Wrapping<V>>(b));
    else
      return a + b;
  }
};

template <class V>
constexpr V multiply(V a, V b) {
  if constexpr (std::is_integral_v<V>)
    return static_cast<V>(static_cast<Wrapping<V>>(a) * static_cast<Wrapping<V>>(b));
  else
    return a * b;
}

template <class T>
constexpr Complex<T> multiply(Complex<T> a, Complex<T> b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

struct Prod : Plain {
  template <class V>
  constexpr V combine(V a, V b) const {
    return multiply(a, b);
  }
};

enum class Bitwise : std::uint8_t { conjunction, disjunction, difference };

template <Bitwise kBitwise, class V>
constexpr V bitwise(V a, V b) {
  using B = Bits<sizeof(V)>;
  const B x = std::bit_cast<B>(a);
  const B y = std::bit_cast<B>(b);
  if constexpr (kBitwise == Bitwise::conjunction) return std::bit_cast<V>(static_cast<B>(x & y));
  if constexpr (kBitwise == Bitwise::disjunction) return std::bit_cast<V>(static_cast<B>(x | y));
  return std::bit_cast<V>(static_cast<B>(x ^ y));
}

template <Bitwise kBitwise>
struct BitwiseOf : Plain {
  template <class V>
  constexpr V combine(V a, V b) const {
    return bitwise<kBitwise>(a, b);
  }
};

// Truth as 0 or 1 of the type; the bitwise operators then work on floats as well, 0.0 being all zero bits.
template <Bitwise kBitwise>
struct LogicalOf : BitwiseOf<kBitwise> {
  template <class V>
  constexpr V enter(V v) const {
    return v == V{0} ? V{0} : V{1};
  }
};

// Equal numbers differ at most in the sign of a zero: "or" keeps the minus for min, "and" drops it for max.
struct Min : Plain {
  template <class V>
  constexpr V combine(V a, V b) const {
    if constexpr (std::is_floating_point_v<V>) {
      if (a < b || a != a) return a;
      return a == b ? bitwise<Bitwise::disjunction>(a, b) : b;
    } else {
      return a < b ? a : b;
    }
  }
};

struct Max : Plain {
  template <class V>
  constexpr V combine(V a, V b) const {
    if constexpr (std::is_floating_point_v<V>) {
      if (a > b || a != a) return a;
      return a == b ? bitwise<Bitwise::conjunction>(a, b) : b;
    } else {
      return a > b ? a : b;
    }
  }
};

// The sum, divided once; integers truncate toward zero.
struct Mean : Sum {
  std::int32_t ranks = 1;
  template <class V>
  constexpr V leave(V v) const {
    if constexpr (std::is_floating_point_v<V>)
      return v / static_cast<V>(ranks);
    else if constexpr (sizeof(V) == 8)
      return v / static_cast<V>(ranks);
    else if constexpr (std::is_signed_v<V>)
      return static_cast<V>(std::int32_t{v} / ranks);
    else
      return static_cast<V>(std::uint32_t{v} / static_cast<std::uint32_t>(ranks));
  }
};

// One input, multiplied.
template <class V>
struct Scale : Plain {
  V factor;
  constexpr V enter(V v) const { return multiply(v, factor); }
  constexpr V combine(V, V b) const { return b; }
};

// Truncated toward zero to 64 bits; NaN counts as 0.
constexpr std::uint64_t truncated(double factor) {
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  if (factor != factor) return 0;
  if (factor >= kLimit) return 0x7fffffffffffffff;
  if (factor <= -kLimit) return 0x8000000000000000;
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(factor));
}

template <class V>
constexpr V factor_of(double factor) {
  if constexpr (std::is_floating_point_v<V>)
    return static_cast<V>(factor);
  else
    return static_cast<V>(truncated(factor));
}

// ---- from DataType and ReduceKind to these

constexpr Operation operation_of(ReduceKind kind, std::int32_t average_over) {
  return kind == ReduceKind::avg && average_over > 0 ? Operation::mean : tutti::operation_of(kind);
}

constexpr DataType without_sign(DataType type) {
  switch (type) {
    case DataType::i8:
      return DataType::u8;
    case DataType::i16:
      return DataType::u16;
    case DataType::i32:
      return DataType::u32;
    case DataType::i64:
      return DataType::u64;
    default:
      return type;
  }
}

// `none` where the operation is not defined.
constexpr Route route(Operation operation, DataType type) {
  const bool ordered = operation == Operation::min || operation == Operation::max || operation == Operation::mean;
  const bool complex = type == DataType::c64 || type == DataType::c128;
  const bool bitwise = operation == Operation::band || operation == Operation::bor || operation == Operation::bxor;
  if (complex && operation != Operation::prod && operation != Operation::sum && operation != Operation::mean) return {};
  if (bitwise && type > DataType::u64 && type != DataType::boolean) return {};
  Route route = route_of(operation, type);
  if (!ordered) route.lanes = without_sign(route.lanes);
  return route;
}

// visit(Lanes()), where the type is a real one.
template <class Machine, class Visit>
constexpr void visit_real(DataType type, Visit&& visit) {
  switch (type) {
    case DataType::i8:
      return visit(Direct<std::int8_t>());
    case DataType::u8:
      return visit(Direct<std::uint8_t>());
    case DataType::i16:
      return visit(Direct<std::int16_t>());
    case DataType::u16:
      return visit(Direct<std::uint16_t>());
    case DataType::i32:
      return visit(Direct<std::int32_t>());
    case DataType::u32:
      return visit(Direct<std::uint32_t>());
    case DataType::i64:
      return visit(Direct<std::int64_t>());
    case DataType::u64:
      return visit(Direct<std::uint64_t>());
    case DataType::f16:
      return visit(HalfLanes<Machine>());
    case DataType::bf16:
      return visit(Bfloat());
    case DataType::f32:
      return visit(Direct<float>());
    case DataType::f64:
      return visit(Direct<double>());
    case DataType::f8e4m3:
      return visit(Coded<E4m3>());
    case DataType::f8e5m2:
      return visit(Coded<E5m2>());
    default:
      return;
  }
}

// visit(Lanes()) for the lanes of a route.
template <class Machine, class Visit>
constexpr void visit_lanes(DataType lanes, Visit&& visit) {
  if (lanes == DataType::c64) return visit(Direct<Complex<float>>());
  if (lanes == DataType::c128) return visit(Direct<Complex<double>>());
  visit_real<Machine>(lanes, visit);
}

// visit(operator) for a route to these lanes; not at all where the operation is none of them.
template <class Lanes, class Visit>
constexpr void visit_operator(Operation operation, std::int32_t average_over, Visit&& visit) {
  using Value = typename Lanes::Value;
  if constexpr (!std::is_arithmetic_v<Value>) {
    return visit(Prod());
  } else {
    constexpr bool kInteger = std::is_integral_v<Value>;
    constexpr bool kSigned = kInteger && std::is_signed_v<Value>;
    if (operation == Operation::min) return visit(Min());
    if (operation == Operation::max) return visit(Max());
    if (operation == Operation::mean) return visit(Mean{{}, average_over});
    if constexpr (!kSigned) {
      if (operation == Operation::sum) return visit(Sum());
      if (operation == Operation::prod) return visit(Prod());
      if (operation == Operation::land) return visit(LogicalOf<Bitwise::conjunction>());
      if (operation == Operation::lor) return visit(LogicalOf<Bitwise::disjunction>());
      if (operation == Operation::lxor) return visit(LogicalOf<Bitwise::difference>());
    }
    if constexpr (kInteger && !kSigned) {
      if (operation == Operation::band) return visit(BitwiseOf<Bitwise::conjunction>());
      if (operation == Operation::bor) return visit(BitwiseOf<Bitwise::disjunction>());
      if (operation == Operation::bxor) return visit(BitwiseOf<Bitwise::difference>());
    }
  }
}

}  // namespace tutti::device
