// Reduction operators: NCCL's five, and those that a program makes for one communicator.
#pragma once

#include <nccl.h>

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "tutti/result.h"
#include "tutti/types.h"

namespace tutti::nccl {

// By NCCL's numbers.
inline constexpr std::array<DataType, ncclNumTypes> kTypes{DataType::i8,  DataType::u8,   DataType::i32,    DataType::u32,
                                                           DataType::i64, DataType::u64,  DataType::f16,    DataType::f32,
                                                           DataType::f64, DataType::bf16, DataType::f8e4m3, DataType::f8e5m2};
[[nodiscard]] constexpr std::optional<DataType> data_type(ncclDataType_t type) noexcept {
  const auto row = static_cast<unsigned>(type);
  return row < kTypes.size() ? std::optional(kTypes[row]) : std::nullopt;
}

// sum(scalar * input).
struct PreMulSum {
  ncclDataType_t type;
  std::array<std::byte, 8> scalar = {};
  const void* read_later = nullptr;  // where it lies instead, when the call runs

  [[nodiscard]] const void* at() const noexcept { return read_later != nullptr ? read_later : scalar.data(); }
};

class Operators {
 public:
  // Numbers that no other communicator of this process has.
  ncclRedOp_t add(const PreMulSum& op);
  bool remove(ncclRedOp_t op);
  // For as long as a call needs it, even if it is destroyed meanwhile.
  [[nodiscard]] std::shared_ptr<const PreMulSum> find(ncclRedOp_t op) const;

 private:
  mutable std::mutex mutex_;
  std::map<int, std::shared_ptr<const PreMulSum>> ops_;
};

ncclResult_t red_op_create_pre_mul_sum(ncclRedOp_t* op, void* scalar, ncclDataType_t type, ncclScalarResidence_t residence,
                                       ncclComm_t comm);
ncclResult_t red_op_destroy(ncclRedOp_t op, ncclComm_t comm);

}  // namespace tutti::nccl
