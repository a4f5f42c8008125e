// Kernels of f32 and f64, and the product of complex numbers made of them.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/floats.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/fold-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tutti::kernels {
namespace HWY_NAMESPACE {

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

template <class T>
Kernel find_complex(Operation operation) {
  return operation == Operation::prod ? &fold<Complex<T>, Prod> : nullptr;
}

Kernel find_float_here(Operation operation, DataType type) {
  switch (type) {
    case DataType::f32:
      return find_real<Direct<float>>(operation);
    case DataType::f64:
      return find_real<Direct<double>>(operation);
    case DataType::c64:
      return find_complex<float>(operation);
    case DataType::c128:
      return find_complex<double>(operation);
    default:
      return nullptr;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tutti::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tutti::kernels {

HWY_EXPORT(find_float_here);

Kernel find_float(Operation operation, DataType type) { return HWY_DYNAMIC_DISPATCH(find_float_here)(operation, type); }

}  // namespace tutti::kernels
#endif
