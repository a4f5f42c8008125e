#include "nccl/ops.h"

#include <atomic>
#include <cstring>

#include "nccl/comm.h"
#include "nccl/errors.h"

namespace tutti::nccl {

ncclRedOp_t Operators::add(const PreMulSum& op) {
  static std::atomic<int> next{ncclNumOps};
  const std::lock_guard lock(mutex_);
  const int number = next.fetch_add(1);
  ops_.emplace(number, std::make_shared<const PreMulSum>(op));
  return static_cast<ncclRedOp_t>(number);
}

bool Operators::remove(ncclRedOp_t op) {
  const std::lock_guard lock(mutex_);
  return ops_.erase(op) > 0;
}

std::shared_ptr<const PreMulSum> Operators::find(ncclRedOp_t op) const {
  const std::lock_guard lock(mutex_);
  const auto found = ops_.find(op);
  return found == ops_.end() ? nullptr : found->second;
}

ncclResult_t red_op_create_pre_mul_sum(ncclRedOp_t* op, void* scalar, ncclDataType_t type, ncclScalarResidence_t residence,
                                       ncclComm_t comm) {
  const auto c = find_comm("ncclRedOpCreatePreMulSum", comm);
  if (!c) return ncclInvalidArgument;
  if (op == nullptr || scalar == nullptr)
    return invalid_argument("ncclRedOpCreatePreMulSum: {} is NULL", op == nullptr ? "op" : "scalar");
  if (!data_type(type)) return invalid_argument("ncclRedOpCreatePreMulSum: data type {} does not exist", static_cast<int>(type));
  PreMulSum made{.type = type};
  if (residence == ncclScalarDevice) {
    made.read_later = scalar;
  } else if (residence == ncclScalarHostImmediate) {
    std::memcpy(made.scalar.data(), scalar, size_of(*data_type(type)));
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
