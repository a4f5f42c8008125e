// Kernels of the 8- and 16-bit integers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/narrow_integers.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/fold-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tutti::kernels {
namespace HWY_NAMESPACE {

Kernel find_narrow_integer_here(Operation operation, DataType type) {
  switch (type) {
    case DataType::u8:
      return find_unsigned<std::uint8_t>(operation);
    case DataType::i8:
      return find_signed<std::int8_t>(operation);
    case DataType::u16:
      return find_unsigned<std::uint16_t>(operation);
    case DataType::i16:
      return find_signed<std::int16_t>(operation);
    default:
      return nullptr;
  }
}
}  // namespace HWY_NAMESPACE
}  // namespace tutti::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tutti::kernels {

HWY_EXPORT(find_narrow_integer_here);

Kernel find_narrow_integer(Operation operation, DataType type) {
  return HWY_DYNAMIC_DISPATCH(find_narrow_integer_here)(operation, type);
}

}  // namespace tutti::kernels
#endif
