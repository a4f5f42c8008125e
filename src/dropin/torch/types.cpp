#include "types.h"

#include <c10/util/Exception.h>

namespace tutti_torch {
namespace {

std::optional<tutti::DataType> known_type(at::ScalarType type) {
  using tutti::DataType;
  switch (type) {
    case at::kChar:
      return DataType::i8;
    case at::kByte:
      return DataType::u8;
    case at::kShort:
      return DataType::i16;
    case at::kUInt16:
      return DataType::u16;
    case at::kInt:
      return DataType::i32;
    case at::kUInt32:
      return DataType::u32;
    case at::kLong:
      return DataType::i64;
    case at::kUInt64:
      return DataType::u64;
    case at::kHalf:
      return DataType::f16;
    case at::kBFloat16:
      return DataType::bf16;
    case at::kFloat:
      return DataType::f32;
    case at::kDouble:
      return DataType::f64;
    case at::kFloat8_e4m3fn:
      return DataType::f8e4m3;
    case at::kFloat8_e5m2:
      return DataType::f8e5m2;
    case at::kBool:
      return DataType::boolean;
    case at::kComplexFloat:
      return DataType::c64;
    case at::kComplexDouble:
      return DataType::c128;
    default:
      return std::nullopt;
  }
}

tutti::ReduceKind kind_of(const char* operation, c10d::ReduceOp::RedOpType op) {
  using tutti::ReduceKind;
  switch (op) {
    case c10d::ReduceOp::SUM:
      return ReduceKind::sum;
    case c10d::ReduceOp::AVG:
      return ReduceKind::avg;
    case c10d::ReduceOp::PRODUCT:
      return ReduceKind::prod;
    case c10d::ReduceOp::MIN:
      return ReduceKind::min;
    case c10d::ReduceOp::MAX:
      return ReduceKind::max;
    case c10d::ReduceOp::BAND:
      return ReduceKind::band;
    case c10d::ReduceOp::BOR:
      return ReduceKind::bor;
    case c10d::ReduceOp::BXOR:
      return ReduceKind::bxor;
    case c10d::ReduceOp::PREMUL_SUM:
      return ReduceKind::premul_sum;
    case c10d::ReduceOp::UNUSED:
      break;
  }
  TORCH_CHECK_VALUE(false, "tutti: ", operation, ": there is no reduction of number ", static_cast<int>(op));
}

std::string told(const std::string& operation, const tutti::Error& error) {
  return "tutti: " + operation + ": " + error.to_string();
}

}  // namespace

Elements elements_of(at::ScalarType type) {
  if (const auto known = known_type(type)) return {*known, 1};
  return {tutti::DataType::u8, c10::elementSize(type)};
}

tutti::DataType reduced_type(const char* operation, at::ScalarType type) {
  const auto known = known_type(type);
  TORCH_CHECK_TYPE(known, "tutti: ", operation, ": tensors of ", type, " can be moved, but not reduced");
  return *known;
}

tutti::ReduceOp reduce_op(const char* operation, const c10d::ReduceOp& op, at::ScalarType type, at::Tensor& holder) {
  tutti::ReduceOp reduce{.kind = kind_of(operation, op.op_)};
  TORCH_CHECK_TYPE(tutti::supports(reduce.kind, reduced_type(operation, type)), "tutti: ", operation, ": ",
                   tutti::name(reduce.kind), " means nothing for tensors of ", type);
  if (reduce.kind != tutti::ReduceKind::premul_sum) return reduce;
  const auto* factor = dynamic_cast<const c10d::NCCLPreMulSumSupplement*>(op.supplement_.get());
  TORCH_CHECK_VALUE(factor != nullptr, "tutti: ", operation,
                    ": PREMUL_SUM needs a factor (torch.distributed._make_nccl_premul_sum)");
  reduce.scalar = factor->double_factor;
  if (!factor->tensor_factor.defined()) return reduce;
  // A number of the tensors' own type, or of its parts where that is complex.
  holder = factor->tensor_factor.to(c10::toRealValueType(type)).contiguous();
  reduce.scalar_at = holder.data_ptr();
  return reduce;
}

std::exception_ptr exception_of(const std::string& operation, const tutti::Error& error) {
  const c10::SourceLocation nowhere{__func__, __FILE__, static_cast<std::uint32_t>(__LINE__)};
  if (error.code() == tutti::Code::invalid_argument)
    return std::make_exception_ptr(c10::ValueError(nowhere, told(operation, error)));
  return std::make_exception_ptr(c10::DistBackendError(nowhere, told(operation, error)));
}

void fail(const std::string& operation, const tutti::Error& error) { std::rethrow_exception(exception_of(operation, error)); }

}  // namespace tutti_torch
