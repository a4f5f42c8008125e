// The one reduction loop, for any lanes and operator, and the tables built from it. Included once per instruction set.
//
// Lanes say how a type is loaded into registers and stored: kElements per step, kUnroll steps at a time, load, store, and how the
// operator's three functions reach the vectors inside a Value. Accumulators stay in registers over all inputs, so however many
// inputs there are, memory is passed once and small floats are rounded once.

#if defined(TUTTI_KERNELS_FOLD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TUTTI_KERNELS_FOLD_INL_H_
#undef TUTTI_KERNELS_FOLD_INL_H_
#else
#define TUTTI_KERNELS_FOLD_INL_H_
#endif

#include <cstddef>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/job.h"
#include "kernels/operators-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tutti::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Whether this is the fallback for machines without any vectors we know.
inline constexpr bool kPortable = HWY_TARGET == HWY_EMU128;

// Vectors at any address. The fallback's own loads want elements to be aligned, real machines do not care.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> load_anywhere(D d, const T* from) {
  if constexpr (kPortable) {
    HWY_ALIGN T lanes[hn::MaxLanes(D())];
    std::memcpy(lanes, from, sizeof(lanes));
    return hn::Load(d, lanes);
  } else {
    return hn::LoadU(d, from);
  }
}

template <class D, class T = hn::TFromD<D>>
HWY_INLINE void store_anywhere(hn::Vec<D> v, D d, T* to) {
  if constexpr (kPortable) {
    HWY_ALIGN T lanes[hn::MaxLanes(D())];
    hn::Store(v, d, lanes);
    std::memcpy(to, lanes, sizeof(lanes));
  } else {
    hn::StoreU(v, d, to);
  }
}

// Integers, f32 and f64: computed in the type itself.
template <class T>
struct Direct {
  using Element = T;
  using D = hn::ScalableTag<T>;
  using Value = hn::Vec<D>;
  static constexpr bool kFloat = hwy::IsFloat<T>();
  static constexpr std::size_t kElements = hn::MaxLanes(D());
  static constexpr std::size_t kUnroll = 4;

  static HWY_INLINE Value load(const Element* from) { return load_anywhere(D(), from); }
  static HWY_INLINE void store(Value v, Element* to) { store_anywhere(v, D(), to); }

  template <class Op>
  static HWY_INLINE Value enter(Value v, const Job& job) {
    return Op::enter(D(), v, job);
  }
  template <class Op>
  static HWY_INLINE Value combine(Value a, Value b) {
    return Op::combine(D(), a, b);
  }
  template <class Op>
  static HWY_INLINE Value leave(Value v, const Job& job) {
    return Op::leave(D(), v, job);
  }
};

// Two vectors that travel together.
template <class T>
struct Paired {
  static constexpr std::size_t kUnroll = 2;
  using D = hn::ScalableTag<T>;
  struct Value {
    hn::Vec<D> first, second;
  };

  template <class Op>
  static HWY_INLINE Value enter(Value v, const Job& job) {
    return {Op::enter(D(), v.first, job), Op::enter(D(), v.second, job)};
  }
  template <class Op>
  static HWY_INLINE Value combine(Value a, Value b) {
    return {Op::combine(D(), a.first, b.first), Op::combine(D(), a.second, b.second)};
  }
  template <class Op>
  static HWY_INLINE Value leave(Value v, const Job& job) {
    return {Op::leave(D(), v.first, job), Op::leave(D(), v.second, job)};
  }
};

// Reduces kSteps steps of Lanes from element `at` on.
template <class Lanes, class Op, std::size_t kSteps>
HWY_INLINE void fold_steps(const Job& job, std::size_t at) {
  using Element = typename Lanes::Element;
  typename Lanes::Value acc[kSteps];
  const Element* first = static_cast<const Element*>(job.inputs[0]) + job.first + at;
  for (std::size_t k = 0; k < kSteps; ++k) acc[k] = Lanes::template enter<Op>(Lanes::load(first + k * Lanes::kElements), job);
  for (std::size_t s = 1; s < job.streams; ++s) {
    const Element* next = static_cast<const Element*>(job.inputs[s]) + job.first + at;
    for (std::size_t k = 0; k < kSteps; ++k)
      acc[k] = Lanes::template combine<Op>(acc[k], Lanes::template enter<Op>(Lanes::load(next + k * Lanes::kElements), job));
  }
  Element* out = static_cast<Element*>(job.out) + at;
  for (std::size_t k = 0; k < kSteps; ++k) Lanes::store(Lanes::template leave<Op>(acc[k], job), out + k * Lanes::kElements);
}

// The last elements, fewer than a step: through padded copies, so that nothing beyond the buffers is touched.
template <class Lanes, class Op>
HWY_NOINLINE void fold_tail(const Job& job, std::size_t at) {
  using Element = typename Lanes::Element;
  const std::size_t bytes = (job.count - at) * sizeof(Element);
  HWY_ALIGN Element padded[Lanes::kElements] = {};
  const auto load = [&](std::size_t s) {
    std::memcpy(padded, static_cast<const Element*>(job.inputs[s]) + job.first + at, bytes);
    return Lanes::template enter<Op>(Lanes::load(padded), job);
  };
  typename Lanes::Value acc = load(0);
  for (std::size_t s = 1; s < job.streams; ++s) acc = Lanes::template combine<Op>(acc, load(s));
  Lanes::store(Lanes::template leave<Op>(acc, job), padded);
  std::memcpy(static_cast<Element*>(job.out) + at, padded, bytes);
}

template <class Lanes, class Op>
void fold(const Job& job) {
  constexpr std::size_t kStep = Lanes::kElements;
  constexpr std::size_t kUnroll = kPortable ? 1 : Lanes::kUnroll;
  const std::size_t count = job.count;
  std::size_t at = 0;
  if constexpr (kUnroll > 1) {
    for (; at + kUnroll * kStep <= count; at += kUnroll * kStep) fold_steps<Lanes, Op, kUnroll>(job, at);
  }
  for (; at + kStep <= count; at += kStep) fold_steps<Lanes, Op, 1>(job, at);
  if (at < count) fold_tail<Lanes, Op>(job, at);
}

// The operators every real type has.
template <class Lanes>
Kernel find_common(Operation operation) {
  switch (operation) {
    case Operation::sum:
      return &fold<Lanes, Sum>;
    case Operation::prod:
      return &fold<Lanes, Prod>;
    case Operation::min:
      return &fold<Lanes, Min>;
    case Operation::max:
      return &fold<Lanes, Max>;
    case Operation::land:
      return &fold<Lanes, Logical<And>>;
    case Operation::lor:
      return &fold<Lanes, Logical<Or>>;
    case Operation::lxor:
      return &fold<Lanes, Logical<Xor>>;
    case Operation::scale:
      return &fold<Lanes, Scale>;
    case Operation::band:
    case Operation::bor:
    case Operation::bxor:
    case Operation::mean:
      return nullptr;
  }
  return nullptr;
}

template <class Lanes>
Kernel find_real(Operation operation) {
  return operation == Operation::mean ? &fold<Lanes, Mean> : find_common<Lanes>(operation);
}

template <class T>
Kernel find_unsigned(Operation operation) {
  switch (operation) {
    case Operation::band:
      return &fold<Direct<T>, And>;
    case Operation::bor:
      return &fold<Direct<T>, Or>;
    case Operation::bxor:
      return &fold<Direct<T>, Xor>;
    default:
      return find_common<Direct<T>>(operation);
  }
}

// Two's complement: only the order differs from the unsigned type.
template <class T>
Kernel find_signed(Operation operation) {
  switch (operation) {
    case Operation::min:
      return &fold<Direct<T>, Min>;
    case Operation::max:
      return &fold<Direct<T>, Max>;
    default:
      return find_unsigned<hwy::MakeUnsigned<T>>(operation);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tutti::kernels
HWY_AFTER_NAMESPACE();

#endif
