// The table of vector kernels: which type is computed how, and its operators; compiled once per instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/table.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/fold-inl.h"
#include "kernels/small_floats-inl.h"
#include "kernels/wide_floats-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tutti::kernels {
namespace HWY_NAMESPACE {

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
    case Operation::none:
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

template <class T>
Kernel find_complex(Operation operation) {
  return operation == Operation::prod ? &fold<Complex<T>, Prod> : nullptr;
}

// Sums, and what divides them.
template <class Lanes>
Kernel find_sum(Operation operation) {
  if (operation == Operation::sum) return &fold<Lanes, Sum>;
  return operation == Operation::mean ? &fold<Lanes, Mean> : nullptr;
}

using F8e4m3 = Coded<std::uint8_t, Code<4, 3, true>>;
using F8e5m2 = Coded<std::uint8_t, Code<5, 2, false>>;

Kernel find_exact(Operation operation, DataType type) {
  switch (type) {
    case DataType::f16:
      return find_sum<Exact<Half>>(operation);
    case DataType::bf16:
      return find_sum<Exact<Bfloat>>(operation);
    case DataType::f32:
      return find_sum<Exact<Direct<float>>>(operation);
    case DataType::f64:
      return find_sum<Exact<Direct<double>>>(operation);
    case DataType::f8e4m3:
      return find_sum<Exact<F8e4m3>>(operation);
    case DataType::f8e5m2:
      return find_sum<Exact<F8e5m2>>(operation);
    default:
      return nullptr;
  }
}

Kernel find_in_f64(Operation operation, DataType type) {
  if (type != DataType::f32) return nullptr;
  return operation == Operation::prod ? &fold<Widened, Prod> : find_sum<Widened>(operation);
}

Kernel find_usual(Operation operation, DataType type) {
  switch (type) {
    case DataType::i8:
      return find_signed<std::int8_t>(operation);
    case DataType::u8:
      return find_unsigned<std::uint8_t>(operation);
    case DataType::i16:
      return find_signed<std::int16_t>(operation);
    case DataType::u16:
      return find_unsigned<std::uint16_t>(operation);
    case DataType::i32:
      return find_signed<std::int32_t>(operation);
    case DataType::u32:
      return find_unsigned<std::uint32_t>(operation);
    case DataType::i64:
      return find_signed<std::int64_t>(operation);
    case DataType::u64:
      return find_unsigned<std::uint64_t>(operation);
    case DataType::f16:
      return find_real<Half>(operation);
    case DataType::bf16:
      return find_real<Bfloat>(operation);
    case DataType::f32:
      return find_real<Direct<float>>(operation);
    case DataType::f64:
      return find_real<Direct<double>>(operation);
    case DataType::f8e4m3:
      return find_real<F8e4m3>(operation);
    case DataType::f8e5m2:
      return find_real<F8e5m2>(operation);
    case DataType::c64:
      return find_complex<float>(operation);
    case DataType::c128:
      return find_complex<double>(operation);
    case DataType::boolean:
      return nullptr;
  }
  return nullptr;
}

Kernel find_here(Operation operation, DataType type, Accumulation accumulation) {
  switch (accumulation) {
    case Accumulation::usual:
      return find_usual(operation, type);
    case Accumulation::f64:
      return find_in_f64(operation, type);
    case Accumulation::exact:
      return find_exact(operation, type);
  }
  return nullptr;
}

}  // namespace HWY_NAMESPACE
}  // namespace tutti::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tutti::kernels {

HWY_EXPORT(find_here);

Kernel find(Operation operation, DataType type, Accumulation accumulation) {
  return HWY_DYNAMIC_DISPATCH(find_here)(operation, type, accumulation);
}

}  // namespace tutti::kernels
#endif
