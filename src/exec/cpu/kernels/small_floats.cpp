// Kernels of the 16- and 8-bit floats: widened to f32, reduced there, rounded once.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/small_floats.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/fold-inl.h"
#include "kernels/small_floats-inl.h"
HWY_BEFORE_NAMESPACE();
namespace tutti::kernels {
namespace HWY_NAMESPACE {

Kernel find_small_float_here(Operation operation, DataType type) {
  switch (type) {
    case DataType::f16:
      return find_real<Half>(operation);
    case DataType::bf16:
      return find_real<Bfloat>(operation);
    case DataType::f8e4m3:
      return find_real<Coded<std::uint8_t, Code<4, 3, true>>>(operation);
    case DataType::f8e5m2:
      return find_real<Coded<std::uint8_t, Code<5, 2, false>>>(operation);
    default:
      return nullptr;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tutti::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tutti::kernels {

HWY_EXPORT(find_small_float_here);

Kernel find_small_float(Operation operation, DataType type) {
  return HWY_DYNAMIC_DISPATCH(find_small_float_here)(operation, type);
}

}  // namespace tutti::kernels
#endif
