// Kernels of the 32- and 64-bit integers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/wide_integers.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/fold-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tutti::kernels {
namespace HWY_NAMESPACE {

Kernel find_wide_integer_here(Operation operation, DataType type) {
  switch (type) {
    case DataType::u32:
      return find_unsigned<std::uint32_t>(operation);
    case DataType::i32:
      return find_signed<std::int32_t>(operation);
    case DataType::u64:
      return find_unsigned<std::uint64_t>(operation);
    case DataType::i64:
      return find_signed<std::int64_t>(operation);
    default:
      return nullptr;
  }
}
}  // namespace HWY_NAMESPACE
}  // namespace tutti::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tutti::kernels {

HWY_EXPORT(find_wide_integer_here);

Kernel find_wide_integer(Operation operation, DataType type) {
  return HWY_DYNAMIC_DISPATCH(find_wide_integer_here)(operation, type);
}

}  // namespace tutti::kernels
#endif
