#include "nccl/ops.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>

#include "nccl/comm.h"
#include "nccl/errors.h"

namespace tutti::nccl {
namespace {

constexpr std::array<DataType, ncclNumTypes> kTypes{DataType::i8,  DataType::u8,   DataType::i32,    DataType::u32,
                                                    DataType::i64, DataType::u64,  DataType::f16,    DataType::f32,
                                                    DataType::f64, DataType::bf16, DataType::f8e4m3, DataType::f8e5m2};

template <class T>
T load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// 64 bits that a double cannot hold would be rounded behind the program's back.
template <class T>
Result<double> whole(const void* from) {
  const T value = load<T>(from);
  const auto rounded = static_cast<double>(value);
  constexpr double kBeyond = 0x1p63 * (std::numeric_limits<T>::is_signed ? 1 : 2);
  if (rounded >= kBeyond || static_cast<T>(rounded) != value)
    return Error(Code::invalid_argument,
                 fmt::format("the scalar {} has more than 53 significant bits, which tutti does not multiply by", value));
  return rounded;
}

// Sign, `exponent` and `mantissa` bits; without `infinities` only all ones are no number (e4m3 of the OCP specification).
double small_float(unsigned bits, int exponent, int mantissa, bool infinities) {
  const int most = (1 << exponent) - 1, bias = most >> 1;
  const int e = static_cast<int>(bits >> mantissa) & most, m = static_cast<int>(bits & ((1U << mantissa) - 1));
  const double sign = (bits >> (exponent + mantissa)) & 1 ? -1 : 1;
  if (e == most && infinities) return m != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * INFINITY;
  if (e == most && m == (1 << mantissa) - 1) return std::numeric_limits<double>::quiet_NaN();
  return sign * (e == 0 ? std::ldexp(m, 1 - bias - mantissa) : std::ldexp(m + (1 << mantissa), e - bias - mantissa));
}

}  // namespace

std::optional<DataType> data_type(ncclDataType_t type) noexcept {
  const auto row = static_cast<unsigned>(type);
  return row < kTypes.size() ? std::optional(kTypes[row]) : std::nullopt;
}

ncclRedOp_t Operators::add(const PreMulSum& op) {
  static std::atomic<int> next{ncclNumOps};
  const std::lock_guard lock(mutex_);
  const int number = next.fetch_add(1);
  ops_.emplace(number, op);
  return static_cast<ncclRedOp_t>(number);
}

bool Operators::remove(ncclRedOp_t op) {
  const std::lock_guard lock(mutex_);
  return ops_.erase(op) > 0;
}

std::optional<PreMulSum> Operators::find(ncclRedOp_t op) const {
  const std::lock_guard lock(mutex_);
  const auto found = ops_.find(op);
  return found == ops_.end() ? std::nullopt : std::optional(found->second);
}

Result<double> read_scalar(const void* scalar, ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
      return load<std::int8_t>(scalar);
    case ncclUint8:
      return load<std::uint8_t>(scalar);
    case ncclInt32:
      return load<std::int32_t>(scalar);
    case ncclUint32:
      return load<std::uint32_t>(scalar);
    case ncclInt64:
      return whole<std::int64_t>(scalar);
    case ncclUint64:
      return whole<std::uint64_t>(scalar);
    case ncclFloat16:
      return small_float(load<std::uint16_t>(scalar), 5, 10, true);
    case ncclFloat32:
      return load<float>(scalar);
    case ncclFloat64:
      return load<double>(scalar);
    case ncclBfloat16:
      return small_float(load<std::uint16_t>(scalar), 8, 7, true);
    case ncclFloat8e4m3:
      return small_float(load<std::uint8_t>(scalar), 4, 3, false);
    case ncclFloat8e5m2:
      return small_float(load<std::uint8_t>(scalar), 5, 2, true);
    case ncclNumTypes:
      break;
  }
  return Error(Code::invalid_argument, fmt::format("data type {} does not exist", static_cast<int>(type)));
}

ncclResult_t red_op_create_pre_mul_sum(ncclRedOp_t* op, void* scalar, ncclDataType_t type, ncclScalarResidence_t residence,
                                       ncclComm_t comm) {
  const auto c = find_comm("ncclRedOpCreatePreMulSum", comm);
  if (!c) return ncclInvalidArgument;
  if (op == nullptr || scalar == nullptr)
    return invalid_argument("ncclRedOpCreatePreMulSum: {} is NULL", op == nullptr ? "op" : "scalar");
  if (!data_type(type)) return invalid_argument("ncclRedOpCreatePreMulSum: data type {} does not exist", static_cast<int>(type));
  PreMulSum made{.type = type, .scalar = 0};
  if (residence == ncclScalarDevice) {
    made.read_later = scalar;
  } else if (residence == ncclScalarHostImmediate) {
    auto value = read_scalar(scalar, type);
    if (!value) return report(std::move(value.error()).because("ncclRedOpCreatePreMulSum"));
    made.scalar = *value;
  } else {
    return invalid_argument("ncclRedOpCreatePreMulSum: residence {} is neither ncclScalarDevice nor ncclScalarHostImmediate",
                            static_cast<int>(residence));
  }
  *op = c->operators.add(made);
  return ncclSuccess;
}

ncclResult_t red_op_destroy(ncclRedOp_t op, ncclComm_t comm) {
  const auto c = find_comm("ncclRedOpDestroy", comm);
  if (!c) return ncclInvalidArgument;
  if (op >= 0 && op < ncclNumOps) return invalid_argument("ncclRedOpDestroy: operator {} is NCCL's own", static_cast<int>(op));
  if (!c->operators.remove(op))
    return invalid_argument("ncclRedOpDestroy: operator {} was not made for this communicator, or was destroyed before",
                            static_cast<int>(op));
  return ncclSuccess;
}

}  // namespace tutti::nccl
