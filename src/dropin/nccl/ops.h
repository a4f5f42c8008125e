// Reduction operators: NCCL's five, and those that a program makes for one communicator.
#pragma once

#include <nccl.h>

#include <map>
#include <mutex>
#include <optional>

#include "tutti/result.h"
#include "tutti/types.h"

namespace tutti::nccl {

[[nodiscard]] std::optional<DataType> data_type(ncclDataType_t type) noexcept;

// sum(scalar * input). A scalar that is not copied is read when the call runs.
struct PreMulSum {
  ncclDataType_t type;
  double scalar;
  const void* read_later = nullptr;
};

class Operators {
 public:
  // Numbers that no other communicator of this process has.
  ncclRedOp_t add(const PreMulSum& op);
  bool remove(ncclRedOp_t op);
  [[nodiscard]] std::optional<PreMulSum> find(ncclRedOp_t op) const;

 private:
  mutable std::mutex mutex_;
  std::map<int, PreMulSum> ops_;
};

// As a double: Code::invalid_argument where it does not fit into one.
Result<double> read_scalar(const void* scalar, ncclDataType_t type);

ncclResult_t red_op_create_pre_mul_sum(ncclRedOp_t* op, void* scalar, ncclDataType_t type, ncclScalarResidence_t residence,
                                       ncclComm_t comm);
ncclResult_t red_op_destroy(ncclRedOp_t op, ncclComm_t comm);

}  // namespace tutti::nccl
