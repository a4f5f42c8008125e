// How 16- and 8-bit floats become f32 and back. Included once per instruction set.

#if defined(TUTTI_KERNELS_SMALL_FLOATS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TUTTI_KERNELS_SMALL_FLOATS_INL_H_
#undef TUTTI_KERNELS_SMALL_FLOATS_INL_H_
#else
#define TUTTI_KERNELS_SMALL_FLOATS_INL_H_
#endif

#include <bit>
#include <cstdint>
#include <type_traits>

#include "hwy/highway.h"
#include "kernels/fold-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tutti::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Any float of at most 16 bits with fewer exponent bits than f32, by integer arithmetic on 32-bit lanes. The f32 operations on
// subnormal codes touch only normal f32 numbers, so flush-to-zero modes of the host program change nothing.
// kFinite: no infinity, only the code with all bits set is NaN.
template <int kExponentBits, int kMantissaBits, bool kFinite>
struct Code {
  using D = hn::ScalableTag<float>;
  using DI = hn::RebindToSigned<D>;
  using V = hn::Vec<D>;
  using VI = hn::Vec<DI>;

  static constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  static constexpr int kShift = 23 - kMantissaBits;
  static constexpr int kSignShift = 31 - kExponentBits - kMantissaBits;
  static constexpr std::int32_t kMagnitude = (1 << (kExponentBits + kMantissaBits)) - 1;
  static constexpr std::int32_t kInfinity = kMagnitude & ~((1 << kMantissaBits) - 1);
  static constexpr std::int32_t kNan = kFinite ? kMagnitude : kInfinity | (1 << (kMantissaBits - 1));
  static constexpr std::int32_t kOverflow = kFinite ? kNan : kInfinity;
  static constexpr std::int32_t kRebias = (127 - kBias) << 23;
  static constexpr std::int32_t kMinNormal = kRebias + (1 << 23);  // of the code, as the bits of an f32
  // The f32 whose unit in the last place is the code's smallest subnormal.
  static constexpr std::int32_t kMagic = (127 + 23 + 1 - kBias - kMantissaBits) << 23;

  static HWY_INLINE V decode(VI code) {
    const D d;
    const DI di;
    const VI magnitude = hn::ShiftLeft<kShift>(hn::And(code, hn::Set(di, kMagnitude)));
    const VI sign = hn::ShiftLeft<31>(hn::ShiftRight<kExponentBits + kMantissaBits>(code));
    const VI normal = hn::Add(magnitude, hn::Set(di, kRebias));
    const VI min_normal = hn::Set(di, kMinNormal);
    const VI subnormal = hn::BitCast(di, hn::Sub(hn::BitCast(d, hn::Add(magnitude, min_normal)), hn::BitCast(d, min_normal)));
    const VI finite = hn::IfThenElse(hn::Lt(normal, min_normal), subnormal, normal);
    return hn::BitCast(d, hn::Or(sign, hn::IfThenElse(is_special(magnitude), special(magnitude), finite)));
  }

  static HWY_INLINE VI encode(V v) {
    const D d;
    const DI di;
    const VI bits = hn::BitCast(di, v);
    const VI magnitude = hn::And(bits, hn::Set(di, 0x7fffffff));
    // Round to nearest even: add just less than half a unit, and one more where the last kept bit is odd.
    const VI odd = hn::And(hn::ShiftRight<kShift>(magnitude), hn::Set(di, 1));
    const VI rounding = hn::Add(odd, hn::Set(di, (1 << (kShift - 1)) - 1 - kRebias));
    const VI normal = hn::Min(hn::ShiftRight<kShift>(hn::Add(magnitude, rounding)), hn::Set(di, kOverflow));
    const VI magic = hn::Set(di, kMagic);
    const VI subnormal = hn::Sub(hn::BitCast(di, hn::Add(hn::BitCast(d, magnitude), hn::BitCast(d, magic))), magic);
    const VI number = hn::IfThenElse(hn::Lt(magnitude, hn::Set(di, kMinNormal)), subnormal, normal);
    const VI code = hn::IfThenElse(hn::Gt(magnitude, hn::Set(di, 0x7f800000)), hn::Set(di, kNan), number);
    const VI sign = hn::And(hn::ShiftRight<kSignShift>(bits), hn::Set(di, kMagnitude + 1));
    return hn::Or(sign, code);
  }

  // Without inlining, where that gains nothing and the compiler would take ten times as long.
  static HWY_NOINLINE V decode_called(VI code) { return decode(code); }
  static HWY_NOINLINE VI encode_called(V v) { return encode(v); }

 private:
  static HWY_INLINE hn::Mask<DI> is_special(VI magnitude) {
    constexpr std::int32_t first = (kFinite ? kNan : kInfinity) << kShift;
    return hn::Gt(magnitude, hn::Set(DI(), first - 1));
  }
  // NaN and infinity keep their mantissa; f32's exponent is all ones.
  static HWY_INLINE VI special(VI magnitude) { return hn::Or(magnitude, hn::Set(DI(), 0x7f800000)); }
};

// A float stored as T and converted by Code.
template <class T, class Format>
struct Coded : Direct<float> {
  using Element = T;
  using DI = typename Format::DI;
  static constexpr std::size_t kUnroll = 2;

  static HWY_INLINE Value load(const Element* from) {
    const auto code = hn::PromoteTo(DI(), load_anywhere(hn::Rebind<T, DI>(), from));
    if constexpr (kCompact) {
      return Format::decode_called(code);
    } else {
      return Format::decode(code);
    }
  }
  static HWY_INLINE void store(Value v, Element* to) {
    const hn::Rebind<T, DI> narrow;
    if constexpr (kCompact) {
      store_anywhere(hn::DemoteTo(narrow, Format::encode_called(v)), narrow, to);
    } else {
      store_anywhere(hn::DemoteTo(narrow, Format::encode(v)), narrow, to);
    }
  }
};

// A line takes so many instructions that a core sees only a few lines ahead: too few to hide what it takes to fetch them from the
// cache of another core, where the other rank has left them. 1 KiB, as measured; tiles that are streamed are shorter and do
// without.
inline constexpr std::size_t kPrefetchSixteenBits = 512;

// f16 by the machine's own conversion instructions, which round to nearest even and know every special value.
struct NativeHalf : Direct<float> {
  using Element = std::uint16_t;
  using Narrow = hn::Rebind<hwy::float16_t, D>;
  static constexpr std::size_t kPrefetch = kPrefetchSixteenBits;

  static HWY_INLINE Value load(const Element* from) {
    return hn::PromoteTo(D(), hn::LoadU(Narrow(), reinterpret_cast<const hwy::float16_t*>(from)));
  }
  static HWY_INLINE void store(Value v, Element* to) {
    hn::StoreU(hn::DemoteTo(Narrow(), v), Narrow(), reinterpret_cast<hwy::float16_t*>(to));
  }
};

// Highway's software conversion truncates, so only targets with the instructions take the native way.
inline constexpr bool kHasHalf = HWY_TARGET <= HWY_AVX2;
using Half = std::conditional_t<kHasHalf, NativeHalf, Coded<std::uint16_t, Code<5, 10, false>>>;

// bf16 is the upper half of an f32: a vector of bf16 is two of f32, the even and the odd elements, without any shuffling.
struct Bfloat : Paired<float> {
  using Element = std::uint16_t;
  using DU = hn::RebindToUnsigned<D>;
  using Narrow = hn::Repartition<std::uint16_t, DU>;
  static constexpr std::size_t kElements = hn::MaxLanes(Narrow());
  static constexpr std::size_t kPrefetch = kPrefetchSixteenBits;

  static HWY_INLINE Value load(const Element* from) {
    const DU du;
    const auto both = hn::BitCast(du, load_anywhere(Narrow(), from));
    const auto odd = hn::And(both, hn::Set(du, 0xffff0000u));
    return {hn::BitCast(D(), hn::ShiftLeft<16>(both)), hn::BitCast(D(), odd)};
  }

  // To the nearest, ties to even: one more where the lower half is more than half a unit, or just that and the upper half odd;
  // for all elements at once in 16 bits. NaNs need no care: every operand came from a bf16 (or is a canonical NaN), so
  // arithmetic leaves their lower halves zero. (AVX-512's own conversion takes subnormal numbers for zero.)
  static HWY_INLINE void store(Value v, Element* to) {
    const Narrow narrow;
    const auto [upper, lower] = split(v);
    const auto one = hn::Set(narrow, 1);
    if constexpr (HWY_TARGET <= HWY_AVX3) {
      const auto up = hn::Gt(hn::OrAnd(lower, upper, one), hn::Set(narrow, 0x8000));
      hn::StoreU(hn::IfThenElse(up, hn::Add(upper, one), upper), narrow, to);
    } else {
      // Without masks: one less where the upper half is even, and the top bit says it.
      const auto up = hn::ShiftRight<15>(hn::SaturatedSub(lower, hn::AndNot(upper, one)));
      store_anywhere(hn::Add(upper, up), narrow, to);
    }
  }

 private:
  struct Halves {
    hn::Vec<Narrow> upper, lower;
  };

  // The upper halves of all elements in their order, and the lower halves.
  static HWY_INLINE Halves split(Value v) {
    const DU du;
    const auto even = hn::BitCast(du, v.first);
    const auto odd = hn::BitCast(du, v.second);
#if HWY_TARGET <= HWY_AVX3
    // A shuffle of bytes under a mask does what otherwise takes a shift and a blend.
    Halves halves;
    halves.upper.raw = _mm512_mask_alignr_epi8(odd.raw, 0x3333333333333333, even.raw, even.raw, 2);
    halves.lower.raw = _mm512_mask_alignr_epi8(even.raw, 0xcccccccccccccccc, odd.raw, odd.raw, 14);
    return halves;
#else
    const Narrow narrow;
    return {hn::OddEven(hn::BitCast(narrow, odd), hn::BitCast(narrow, hn::ShiftRight<16>(even))),
            hn::OddEven(hn::BitCast(narrow, hn::ShiftLeft<16>(odd)), hn::BitCast(narrow, even))};
#endif
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace tutti::kernels
HWY_AFTER_NAMESPACE();

#endif
