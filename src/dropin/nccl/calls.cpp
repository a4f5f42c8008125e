#include "nccl/calls.h"

#include "gpu/driver.h"
#include "nccl/errors.h"
#include "nccl/group.h"

namespace tutti::nccl {
namespace {

constexpr ReduceKind kKinds[ncclNumOps] = {ReduceKind::sum, ReduceKind::prod, ReduceKind::max, ReduceKind::min, ReduceKind::avg};

ncclResult_t check_op(DataCall& c, ncclRedOp_t op, ncclDataType_t type) {
  const int number = static_cast<int>(op);
  if (number >= 0 && number < ncclNumOps) {
    c.call.op.kind = kKinds[number];
    return ncclSuccess;
  }
  const auto own = c.comm->operators.find(op);
  if (!own)
    return invalid_argument(
        "{}: operator {} is none of NCCL's, and none that was made for this communicator and is not destroyed", c.name, number);
  if (own->type != type)
    return invalid_argument("{}: operator {} was made for data type {}, the call's is {}", c.name, number,
                            static_cast<int>(own->type), static_cast<int>(type));
  c.call.op = {.kind = ReduceKind::premul_sum, .scalar_at = own->at()};
  c.scalar = own;
  return ncclSuccess;
}

// `comm` is in use before the call is made: whoever ends it looks afterwards for calls to end.
ncclResult_t collective(const InUse& comm, DataCall&& c, ncclDataType_t type, std::optional<ncclRedOp_t> op = {}) {
  c.comm = comm.comm();
  if (c.comm == nullptr) return nobody(c.name, comm.handle());
  if (c.stream != nullptr && gpu::driver() == nullptr)
    return invalid_argument(
        "{}: stream {} is not NULL; without CUDA there is only the stream NULL, whose calls are complete when "
        "they return",
        c.name, static_cast<void*>(c.stream));
  const auto element = data_type(type);
  if (!element) return invalid_argument("{}: data type {} does not exist", c.name, static_cast<int>(type));
  c.call.type = *element;
  if (op)
    if (const auto result = check_op(c, *op, type); result != ncclSuccess) return result;
  return submit(std::move(c), comm);
}

}  // namespace

ncclResult_t check_config(const ncclCollConfig_t* config) {
  auto status = check_call_config(config);
  return status ? ncclSuccess : report(status.error());
}

ncclResult_t all_reduce(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t handle,
                        cudaStream_t stream) {
  const InUse comm(handle);
  return collective(comm,
                    {"ncclAllReduce", {.collective = Collective::all_reduce, .input = in, .output = out, .count = count}, stream},
                    type, op);
}

ncclResult_t reduce(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t op, int root, ncclComm_t handle,
                    cudaStream_t stream) {
  const InUse comm(handle);
  return collective(
      comm, {"ncclReduce", {.collective = Collective::reduce, .input = in, .output = out, .count = count, .root = root}, stream},
      type, op);
}

ncclResult_t broadcast(const void* in, void* out, size_t count, ncclDataType_t type, int root, ncclComm_t handle,
                       cudaStream_t stream) {
  const InUse comm(handle);
  return collective(
      comm,
      {"ncclBroadcast", {.collective = Collective::broadcast, .input = in, .output = out, .count = count, .root = root}, stream},
      type);
}

ncclResult_t bcast(void* data, size_t count, ncclDataType_t type, int root, ncclComm_t handle, cudaStream_t stream) {
  return broadcast(data, data, count, type, root, handle, stream);
}

ncclResult_t all_gather(const void* in, void* out, size_t count, ncclDataType_t type, ncclComm_t handle, cudaStream_t stream) {
  const InUse comm(handle);
  return collective(
      comm, {"ncclAllGather", {.collective = Collective::all_gather, .input = in, .output = out, .count = count}, stream}, type);
}

ncclResult_t reduce_scatter(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t handle,
                            cudaStream_t stream) {
  const InUse comm(handle);
  return collective(
      comm, {"ncclReduceScatter", {.collective = Collective::reduce_scatter, .input = in, .output = out, .count = count}, stream},
      type, op);
}

ncclResult_t all_to_all(const void* in, void* out, size_t count, ncclDataType_t type, ncclComm_t handle, cudaStream_t stream) {
  const InUse comm(handle);
  return collective(
      comm, {"ncclAlltoAll", {.collective = Collective::all_to_all, .input = in, .output = out, .count = count}, stream}, type);
}

ncclResult_t gather(const void* in, void* out, size_t count, ncclDataType_t type, int root, ncclComm_t handle,
                    cudaStream_t stream) {
  const InUse comm(handle);
  return collective(
      comm, {"ncclGather", {.collective = Collective::gather, .input = in, .output = out, .count = count, .root = root}, stream},
      type);
}

ncclResult_t scatter(const void* in, void* out, size_t count, ncclDataType_t type, int root, ncclComm_t handle,
                     cudaStream_t stream) {
  const InUse comm(handle);
  return collective(
      comm,
      {"ncclScatter", {.collective = Collective::scatter, .input = in, .output = out, .count = count, .root = root}, stream},
      type);
}

// kNoRank means "to nobody" in a Call, which no program asks for.
ncclResult_t send(const void* data, size_t count, ncclDataType_t type, int peer, ncclComm_t handle, cudaStream_t stream) {
  if (peer == kNoRank) return invalid_argument("ncclSend: peer {} is not a rank", peer);
  const InUse comm(handle);
  return collective(
      comm, {"ncclSend", {.collective = Collective::send_recv, .input = data, .count = count, .destination = peer}, stream},
      type);
}

ncclResult_t recv(void* data, size_t count, ncclDataType_t type, int peer, ncclComm_t handle, cudaStream_t stream) {
  if (peer == kNoRank) return invalid_argument("ncclRecv: peer {} is not a rank", peer);
  const InUse comm(handle);
  return collective(
      comm, {"ncclRecv", {.collective = Collective::send_recv, .output = data, .source = peer, .receive_count = count}, stream},
      type);
}

}  // namespace tutti::nccl
