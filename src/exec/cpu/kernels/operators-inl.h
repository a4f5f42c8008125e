// The reduction operators on vectors. Included once per instruction set.
//
// An operator has enter (on every input), combine (of two), leave (on the result).

// Highway's guard for headers that are compiled once per target.
#if defined(TUTTI_KERNELS_OPERATORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TUTTI_KERNELS_OPERATORS_INL_H_
#undef TUTTI_KERNELS_OPERATORS_INL_H_
#else
#define TUTTI_KERNELS_OPERATORS_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/job.h"

HWY_BEFORE_NAMESPACE();
namespace tutti::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct Plain {
  template <class D, class V>
  static HWY_INLINE V enter(D, V v, const Job&) {
    return v;
  }
  template <class D, class V>
  static HWY_INLINE V leave(D, V v, const Job&) {
    return v;
  }
};

struct Sum : Plain {
  template <class D, class V>
  static HWY_INLINE V combine(D, V a, V b) {
    return hn::Add(a, b);
  }
};

// No machine multiplies bytes: the even ones and the odd ones as 16-bit numbers, of which the lower halves count.
template <class D, class V>
HWY_INLINE V multiply(D d, V a, V b) {
  if constexpr (sizeof(hn::TFromD<D>) == 1) {
    const hn::Repartition<std::uint16_t, D> wide;
    const auto wide_a = hn::BitCast(wide, a);
    const auto wide_b = hn::BitCast(wide, b);
    const auto even = hn::And(hn::Mul(wide_a, wide_b), hn::Set(wide, 0xff));
    const auto odd = hn::ShiftLeft<8>(hn::Mul(hn::ShiftRight<8>(wide_a), hn::ShiftRight<8>(wide_b)));
    return hn::BitCast(d, hn::Or(even, odd));
  } else {
    return hn::Mul(a, b);
  }
}

struct Prod : Plain {
  template <class D, class V>
  static HWY_INLINE V combine(D d, V a, V b) {
    return multiply(d, a, b);
  }
};

struct And : Plain {
  template <class D, class V>
  static HWY_INLINE V combine(D, V a, V b) {
    return hn::And(a, b);
  }
};

struct Or : Plain {
  template <class D, class V>
  static HWY_INLINE V combine(D, V a, V b) {
    return hn::Or(a, b);
  }
};

struct Xor : Plain {
  template <class D, class V>
  static HWY_INLINE V combine(D, V a, V b) {
    return hn::Xor(a, b);
  }
};

// Machines disagree about the minimum of NaN and of zeros, so floats choose by comparisons. Equal numbers differ at most in
// the sign of a zero: "or" keeps the minus for min, "and" drops it for max. That makes both commutative bit by bit.
struct Min : Plain {
  template <class D, class V>
  static HWY_INLINE V combine(D, V a, V b) {
    if constexpr (hwy::IsFloat<hn::TFromD<D>>()) {
      const V other = hn::IfThenElse(hn::Eq(a, b), hn::Or(a, b), b);
      return hn::IfThenElse(hn::Or(hn::Lt(a, b), hn::IsNaN(a)), a, other);
    } else {
      return hn::Min(a, b);
    }
  }
};

struct Max : Plain {
  template <class D, class V>
  static HWY_INLINE V combine(D, V a, V b) {
    if constexpr (hwy::IsFloat<hn::TFromD<D>>()) {
      const V other = hn::IfThenElse(hn::Eq(a, b), hn::And(a, b), b);
      return hn::IfThenElse(hn::Or(hn::Gt(a, b), hn::IsNaN(a)), a, other);
    } else {
      return hn::Max(a, b);
    }
  }
};

// Truth as 0 or 1 of the type; the bitwise operators then work on floats as well, 0.0 being all zero bits.
template <class Bitwise>
struct Logical : Bitwise {
  template <class D, class V>
  static HWY_INLINE V enter(D d, V v, const Job&) {
    const V one = hn::Set(d, static_cast<hn::TFromD<D>>(1));
    return hn::IfThenZeroElse(hn::Eq(v, hn::Zero(d)), one);
  }
};

struct Mean : Sum {
  template <class D, class V>
  static HWY_INLINE V leave(D d, V v, const Job& job) {
    return hn::Div(v, hn::Set(d, static_cast<hn::TFromD<D>>(job.factor)));
  }
};

struct Scale : Plain {
  template <class D, class V>
  static HWY_INLINE V enter(D d, V v, const Job& job) {
    using T = hn::TFromD<D>;
    if constexpr (hwy::IsFloat<T>()) {
      return multiply(d, v, hn::Set(d, static_cast<T>(job.factor)));
    } else {
      return multiply(d, v, hn::Set(d, static_cast<T>(job.integer_factor)));
    }
  }
  // A scaled input is never combined with another in the same pass.
  template <class D, class V>
  static HWY_INLINE V combine(D, V, V b) {
    return b;
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace tutti::kernels
HWY_AFTER_NAMESPACE();

#endif
