// The one reduction loop, for any lanes and operator. Included once per instruction set.
//
// Lanes say how a type is loaded into registers and stored: kElements per step, kUnroll steps at a time, load, store, and how the
// operator's three functions reach the vectors inside a Value. Inputs are combined in the canonical tree (core/numerics.h) while
// they are in registers, so however many there are, memory is passed once and small floats are rounded once. Inputs are
// prefetched at a distance of kPrefetch elements, if any. Lanes that add exactly (kExact) take the inputs one after the other,
// the order being all the same, and say which results they are not sure of: those are computed once more, element by element.

#if defined(TUTTI_KERNELS_FOLD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TUTTI_KERNELS_FOLD_INL_H_
#undef TUTTI_KERNELS_FOLD_INL_H_
#else
#define TUTTI_KERNELS_FOLD_INL_H_
#endif

#include <cstddef>
#include <cstring>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels/job.h"
#include "kernels/operators-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tutti::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Whether this is the fallback for machines without any vectors we know.
inline constexpr bool kPortable = HWY_TARGET == HWY_EMU128;
// Builds in which compile time counts more than speed: the fallback and the sanitizers.
inline constexpr bool kCompact = kPortable || HWY_IS_ASAN || HWY_IS_TSAN || HWY_IS_MSAN;

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
  static constexpr bool kExact = false;
  static constexpr std::size_t kElements = hn::MaxLanes(D());
  static constexpr std::size_t kUnroll = 4;
  static constexpr std::size_t kPrefetch = 0;

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
  static constexpr bool kExact = false;
  static constexpr std::size_t kUnroll = 2;
  static constexpr std::size_t kPrefetch = 0;
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

// Complex numbers, real and imaginary parts in a vector each.
template <class T>
struct Complex : Paired<T> {
  using typename Paired<T>::D;
  using typename Paired<T>::Value;
  struct Element {
    T re, im;
  };
  static constexpr std::size_t kElements = hn::MaxLanes(D());

  static HWY_INLINE Value load(const Element* from) {
    Value v;
    if constexpr (kPortable) {
      HWY_ALIGN T lanes[2 * kElements];
      std::memcpy(lanes, from, sizeof(lanes));
      hn::LoadInterleaved2(D(), lanes, v.first, v.second);
    } else {
      hn::LoadInterleaved2(D(), reinterpret_cast<const T*>(from), v.first, v.second);
    }
    return v;
  }
  static HWY_INLINE void store(Value v, Element* to) {
    if constexpr (kPortable) {
      HWY_ALIGN T lanes[2 * kElements];
      hn::StoreInterleaved2(v.first, v.second, D(), lanes);
      std::memcpy(to, lanes, sizeof(lanes));
    } else {
      hn::StoreInterleaved2(v.first, v.second, D(), reinterpret_cast<T*>(to));
    }
  }
  template <class Op>
  static HWY_INLINE Value combine(Value a, Value b) {
    return {hn::Sub(hn::Mul(a.first, b.first), hn::Mul(a.second, b.second)),
            hn::Add(hn::Mul(a.first, b.second), hn::Mul(a.second, b.first))};
  }
};

// A job's inputs. A value of its own, so that its members stay in registers whatever the loop stores.
template <class Element>
struct Inputs {
  const void* const* begin;
  std::size_t count;
  std::size_t first;
  [[nodiscard]] HWY_INLINE const Element* of(std::size_t s, std::size_t at) const {
    return static_cast<const Element*>(begin[s]) + first + at;
  }
};

// Of kCount elements of each input.
template <std::size_t kCount, class Element>
HWY_INLINE void prefetch(Inputs<Element> inputs, std::size_t at) {
  constexpr std::size_t kLine = 64 / sizeof(Element);
  for (std::size_t s = 0; s < inputs.count; ++s)
    for (std::size_t k = 0; k < kCount; k += kLine) hwy::Prefetch(inputs.of(s, at) + k);
}

// Some steps of Lanes, of one input or of several combined.
template <class Lanes, std::size_t kSteps>
struct Steps {
  typename Lanes::Value of[kSteps];
};

template <class Lanes, class Op, std::size_t kSteps>
HWY_INLINE Steps<Lanes, kSteps> combine_both(const Steps<Lanes, kSteps>& left, const Steps<Lanes, kSteps>& right) {
  Steps<Lanes, kSteps> both;
  for (std::size_t k = 0; k < kSteps; ++k) both.of[k] = Lanes::template combine<Op>(left.of[k], right.of[k]);
  return both;
}

// Source::load(s) gives the steps of input s. Of kInputs of them, from `first` on.
template <class Lanes, class Op, std::size_t kInputs, class Source>
HWY_INLINE auto combine_some(const Source& source, std::size_t first) {
  if constexpr (kInputs == 1) {
    return source.load(first);
  } else {
    constexpr std::size_t kLeft = canonical_split(kInputs);
    const auto left = combine_some<Lanes, Op, kLeft>(source, first);
    return combine_both<Lanes, Op>(left, combine_some<Lanes, Op, kInputs - kLeft>(source, first + kLeft));
  }
}

// Any number of inputs. Groups of four are nodes of the tree; a node is combined with what is on its left where that has its
// size, and waits otherwise, until what is on its right is done.
template <class Lanes, class Op, class Source>
HWY_INLINE auto combine_any(const Source& source, std::size_t inputs) {
  constexpr std::size_t kGroup = 4, kMostWaiting = 32;
  Steps<Lanes, Source::kSteps> node, waiting[kMostWaiting];
  std::size_t waits = 0, next = 0;
  for (; next + kGroup <= inputs; next += kGroup) {
    if (next > 0) waiting[waits++] = node;
    node = combine_some<Lanes, Op, kGroup>(source, next);
    for (std::size_t before = next / kGroup; before % 2 == 1; before /= 2) node = combine_both<Lanes, Op>(waiting[--waits], node);
  }
  for (std::size_t part = kGroup / 2; part > 0; part /= 2) {
    if (inputs % (2 * part) < part) continue;
    if (next > 0) waiting[waits++] = node;
    node = part == 2 ? combine_some<Lanes, Op, 2>(source, next) : source.load(next);
    next += part;
  }
  while (waits > 0) node = combine_both<Lanes, Op>(waiting[--waits], node);
  return node;
}

template <class Lanes, class Op, class Source>
HWY_INLINE auto combine_inputs(const Source& source, std::size_t inputs) {
  if constexpr (Lanes::kExact) {
    auto sum = source.load(0);
    for (std::size_t s = 1; s < inputs; ++s) {
      const auto next = source.load(s);
      for (std::size_t k = 0; k < Source::kSteps; ++k) Lanes::add(sum.of[k], next.of[k], s == 1);
    }
    return sum;
  } else {
    if constexpr (!kCompact) {
      if (inputs == 2) return combine_some<Lanes, Op, 2>(source, 0);
      if (inputs == 3) return combine_some<Lanes, Op, 3>(source, 0);
      if (inputs == 4) return combine_some<Lanes, Op, 4>(source, 0);
      if (inputs == 8) return combine_some<Lanes, Op, 8>(source, 0);
    }
    return combine_any<Lanes, Op>(source, inputs);
  }
}

// Steps of whole vectors, from element `at` on.
template <class Lanes, class Op, std::size_t kManySteps>
struct WholeSteps {
  static constexpr std::size_t kSteps = kManySteps;
  Inputs<typename Lanes::Element> inputs;
  std::size_t at;
  const Job& job;
  HWY_INLINE Steps<Lanes, kSteps> load(std::size_t s) const {
    Steps<Lanes, kSteps> steps;
    const auto* from = inputs.of(s, at);
    for (std::size_t k = 0; k < kSteps; ++k)
      steps.of[k] = Lanes::template enter<Op>(Lanes::load(from + k * Lanes::kElements), job);
    return steps;
  }
};

// Reduces kSteps steps of Lanes from element `at` on.
template <class Lanes, class Op, std::size_t kSteps, class Element = typename Lanes::Element>
HWY_INLINE void fold_steps(Inputs<Element> inputs, Element* out, std::size_t at, const Job& job) {
  auto sum = combine_inputs<Lanes, Op>(WholeSteps<Lanes, Op, kSteps>{inputs, at, job}, inputs.count);
  for (std::size_t k = 0; k < kSteps; ++k, at += Lanes::kElements) {
    if constexpr (Lanes::kExact)
      if (!Lanes::sure(sum.of[k])) sum.of[k] = Lanes::template slowly<Op>(job, at, Lanes::kElements);
    Lanes::store(Lanes::template leave<Op>(sum.of[k], job), out + at);
  }
}

// The part of a step that is there, to and from a padded copy: nothing beyond the buffers is touched. Machines with masked bytes
// need no library call, and the vector that is stored whole is soon loaded whole.
template <std::size_t kStepBytes>
inline constexpr bool kMasks = kStepBytes <= 64 && HWY_TARGET <= HWY_AVX3;

template <class Element, std::size_t kElements, std::size_t kBytes = kElements * sizeof(Element)>
HWY_INLINE void load_part(const Element* from, std::size_t bytes, Element (&padded)[kElements]) {
  if constexpr (kMasks<kBytes>) {
    const hn::CappedTag<std::uint8_t, kBytes> d;
    const auto part = hn::MaskedLoad(hn::FirstN(d, bytes), d, reinterpret_cast<const std::uint8_t*>(from));
    hn::Store(part, d, reinterpret_cast<std::uint8_t*>(padded));
  } else {
    std::memcpy(padded, from, bytes);
  }
}

template <class Element, std::size_t kElements, std::size_t kBytes = kElements * sizeof(Element)>
HWY_INLINE void store_part(const Element (&padded)[kElements], std::size_t bytes, Element* to) {
  if constexpr (kMasks<kBytes>) {
    const hn::CappedTag<std::uint8_t, kBytes> d;
    const auto part = hn::Load(d, reinterpret_cast<const std::uint8_t*>(padded));
    hn::BlendedStore(part, hn::FirstN(d, bytes), d, reinterpret_cast<std::uint8_t*>(to));
  } else {
    std::memcpy(to, padded, bytes);
  }
}

template <class Lanes, class Op>
struct PartOfStep {
  static constexpr std::size_t kSteps = 1;
  Inputs<typename Lanes::Element> inputs;
  std::size_t at, bytes;
  const Job& job;
  HWY_INLINE Steps<Lanes, 1> load(std::size_t s) const {
    HWY_ALIGN typename Lanes::Element padded[Lanes::kElements] = {};
    load_part(inputs.of(s, at), bytes, padded);
    return {{Lanes::template enter<Op>(Lanes::load(padded), job)}};
  }
};

// The last elements, fewer than a step.
template <class Lanes, class Op>
HWY_NOINLINE void fold_tail(const Job& job, std::size_t at) {
  using Element = typename Lanes::Element;
  const Inputs<Element> inputs{job.inputs, job.streams, job.first};
  const std::size_t bytes = (job.count - at) * sizeof(Element);
  auto sum = combine_inputs<Lanes, Op>(PartOfStep<Lanes, Op>{inputs, at, bytes, job}, inputs.count);
  if constexpr (Lanes::kExact)
    if (!Lanes::sure(sum.of[0])) sum.of[0] = Lanes::template slowly<Op>(job, at, job.count - at);
  HWY_ALIGN Element padded[Lanes::kElements];
  Lanes::store(Lanes::template leave<Op>(sum.of[0], job), padded);
  store_part(padded, bytes, static_cast<Element*>(job.out) + at);
}

template <class Lanes, class Op>
void fold(const Job& job) {
  using Element = typename Lanes::Element;
  constexpr std::size_t kStep = Lanes::kElements;
  constexpr std::size_t kUnroll = kPortable ? 1 : Lanes::kUnroll;
  const Inputs<Element> inputs{job.inputs, job.streams, job.first};
  Element* const out = static_cast<Element*>(job.out);
  const std::size_t count = job.count;
  std::size_t at = 0;
  if constexpr (kUnroll > 1) {
    for (; at + kUnroll * kStep <= count; at += kUnroll * kStep) {
      if constexpr (Lanes::kPrefetch > 0)
        if (at + Lanes::kPrefetch < count) prefetch<kUnroll * kStep>(inputs, at + Lanes::kPrefetch);
      fold_steps<Lanes, Op, kUnroll>(inputs, out, at, job);
    }
  }
  for (; at + kStep <= count; at += kStep) fold_steps<Lanes, Op, 1>(inputs, out, at, job);
  if (at < count) fold_tail<Lanes, Op>(job, at);
}

}  // namespace HWY_NAMESPACE
}  // namespace tutti::kernels
HWY_AFTER_NAMESPACE();

#endif
