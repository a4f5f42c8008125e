// Floats that are added up in more than their type: f32 in f64, and all of them exactly. Included once per instruction set.

#if defined(TUTTI_KERNELS_WIDE_FLOATS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TUTTI_KERNELS_WIDE_FLOATS_INL_H_
#undef TUTTI_KERNELS_WIDE_FLOATS_INL_H_
#else
#define TUTTI_KERNELS_WIDE_FLOATS_INL_H_
#endif

#include <algorithm>
#include <type_traits>

#include "hwy/highway.h"
#include "kernels/fold-inl.h"
#include "kernels/small_floats-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tutti::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Doubles = hn::ScalableTag<double>;
using HalfOfFloats = hn::Rebind<float, Doubles>;

HWY_INLINE hn::Vec<Doubles> lower_widened(hn::Vec<Floats> v) {
  return hn::PromoteTo(Doubles(), hn::LowerHalf(HalfOfFloats(), v));
}
HWY_INLINE hn::Vec<Doubles> upper_widened(hn::Vec<Floats> v) {
  return hn::PromoteTo(Doubles(), hn::UpperHalf(HalfOfFloats(), v));
}
HWY_INLINE hn::Vec<Floats> narrowed(hn::Vec<Doubles> lower, hn::Vec<Doubles> upper) {
  const HalfOfFloats half;
  return hn::Combine(Floats(), hn::DemoteTo(half, upper), hn::DemoteTo(half, lower));
}

// f32 in f64.
struct Widened : Paired<double> {
  using Element = float;
  static constexpr std::size_t kElements = hn::MaxLanes(Floats());

  static HWY_INLINE Value load(const Element* from) {
    const auto v = load_anywhere(Floats(), from);
    return {lower_widened(v), upper_widened(v)};
  }
  static HWY_INLINE void store(Value v, Element* to) { store_anywhere(narrowed(v.first, v.second), Floats(), to); }
};

// Sums without errors, of the values that Narrow loads. A sum is the unevaluated one of two f64 numbers, and what is not in them
// makes `lost` differ from 0: then the sum may be wrong. Infinities and NaNs come out as lost, too.
// Source: the error-free sum of two numbers is D. E. Knuth's (The Art of Computer Programming 2, 4.2.2).
template <class Narrow>
struct Exact {
  using Element = typename Narrow::Element;
  using D = Doubles;
  using V = hn::Vec<D>;
  static constexpr bool kExact = true;
  static constexpr std::size_t kElements = Narrow::kElements;
  static constexpr std::size_t kUnroll = 1;
  static constexpr std::size_t kParts = kElements / hn::MaxLanes(D());  // vectors of f64
  struct Value {
    V sum[kParts], rest[kParts], lost;
  };

  static HWY_INLINE Value load(const Element* from) {
    Value v;
    const auto narrow = Narrow::load(from);
    if constexpr (kParts == 1) {
      v.sum[0] = narrow;
    } else if constexpr (kParts == 2) {
      widen(narrow, v.sum);
    } else {
      widen(narrow.first, v.sum);
      widen(narrow.second, v.sum + 2);
    }
    for (std::size_t p = 0; p < kParts; ++p) v.rest[p] = hn::Zero(D());
    v.lost = hn::Zero(D());
    return v;
  }
  template <class Op>
  static HWY_INLINE Value enter(Value v, const Job&) {
    return v;
  }
  // `next` is as loaded; at first, `to` is so, too. Where numbers have few bits, all errors are mostly 0.
  static HWY_INLINE void add(Value& to, const Value& next, bool first) {
    V errors[kParts], any = hn::Zero(D());
    for (std::size_t p = 0; p < kParts; ++p) {
      const Pair sum = two_sum(to.sum[p], next.sum[p]);
      to.sum[p] = sum.value;
      errors[p] = sum.error;
      any = hn::Or(any, sum.error);
    }
    if (HWY_LIKELY(all_zero(any))) return;
    for (std::size_t p = 0; p < kParts; ++p) {
      const Pair rest = first ? Pair{errors[p], hn::Sub(errors[p], errors[p])} : two_sum(to.rest[p], errors[p]);
      to.rest[p] = rest.value;
      to.lost = hn::Add(to.lost, hn::Abs(rest.error));
    }
  }
  // The sums of elements [at, at + count) in the sure way; no others are looked at.
  template <class Op>
  static HWY_NOINLINE Value slowly(const Job& job, std::size_t at, std::size_t count) {
    constexpr bool kToF32 = kParts > 1 && !std::is_same_v<Op, Mean>;
    std::size_t elements[kElements];
    for (std::size_t lane = 0; lane < kElements; ++lane) elements[lane] = at + std::min(element_in(lane), count - 1);
    HWY_ALIGN double sums[kElements];
    sum_exactly(job, elements, kToF32, sums);
    Value v;
    for (std::size_t p = 0; p < kParts; ++p) {
      v.sum[p] = hn::Load(D(), sums + p * hn::MaxLanes(D()));
      v.rest[p] = hn::Zero(D());
    }
    v.lost = hn::Zero(D());
    return v;
  }
  static HWY_INLINE bool sure(const Value& v) { return all_zero(v.lost); }

  template <class Op>
  static HWY_INLINE Value leave(Value v, const Job& job) {
    for (std::size_t p = 0; p < kParts; ++p) {
      if constexpr (!std::is_same_v<Op, Mean>)
        if (HWY_LIKELY(all_zero(v.rest[p]))) continue;
      const Pair sum = two_sum(v.sum[p], v.rest[p]);
      // Where nothing is left, the sum as it is: it may be a negative zero, or an infinity.
      const auto settled = hn::Eq(v.rest[p], hn::Zero(D()));
      const V rounded = hn::IfThenElse(settled, v.sum[p], sum.value);
      if constexpr (std::is_same_v<Op, Mean>) {
        v.sum[p] = Op::leave(D(), rounded, job);
      } else if constexpr (kParts == 1) {
        v.sum[p] = rounded;
      } else {
        v.sum[p] = to_odd(rounded, hn::IfThenZeroElse(settled, sum.error));
      }
    }
    return v;
  }
  static HWY_INLINE void store(const Value& v, Element* to) {
    if constexpr (kParts == 1) {
      Narrow::store(v.sum[0], to);
    } else if constexpr (kParts == 2) {
      Narrow::store(narrowed(v.sum[0], v.sum[1]), to);
    } else {
      Narrow::store({narrowed(v.sum[0], v.sum[1]), narrowed(v.sum[2], v.sum[3])}, to);
    }
  }

 private:
  struct Pair {
    V value, error;
  };
  // Of a step, that which lane `lane` of all parts together holds: bf16 comes as the even elements and the odd ones.
  static constexpr std::size_t element_in(std::size_t lane) {
    constexpr std::size_t kHalf = kElements / 2;
    return kParts < 4 ? lane : lane < kHalf ? 2 * lane : 2 * (lane - kHalf) + 1;
  }
  static HWY_INLINE void widen(hn::Vec<Floats> v, V* to) {
    to[0] = lower_widened(v);
    to[1] = upper_widened(v);
  }
  static HWY_INLINE bool all_zero(V v) { return hn::AllTrue(D(), hn::Eq(v, hn::Zero(D()))); }
  static HWY_INLINE Pair two_sum(V a, V b) {
    const V sum = hn::Add(a, b);
    const V b_in_it = hn::Sub(sum, a);
    return {sum, hn::Add(hn::Sub(a, hn::Sub(sum, b_in_it)), hn::Sub(b, b_in_it))};
  }
  // What is rounded twice must be rounded to an odd number first: to the neighbour on the side of the error where that is not 0
  // and the number even (S. Boldo, G. Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding
  // to odd", 2008).
  static HWY_INLINE V to_odd(V rounded, V error) {
    const hn::RebindToSigned<D> di;
    const auto bits = hn::BitCast(di, rounded);
    const auto one = hn::Set(di, 1);
    const auto even = hn::Eq(hn::And(bits, one), hn::Zero(di));
    const auto inexact = hn::RebindMask(di, hn::Ne(error, hn::Zero(D())));
    // 1, away from zero, where both have one sign; else -1.
    const auto step = hn::Add(one, hn::ShiftLeft<1>(hn::ShiftRight<63>(hn::Xor(bits, hn::BitCast(di, error)))));
    return hn::BitCast(D(), hn::IfThenElse(hn::And(even, inexact), hn::Add(bits, step), bits));
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace tutti::kernels
HWY_AFTER_NAMESPACE();

#endif
