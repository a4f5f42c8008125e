// The calls that move data.
#pragma once

#include <nccl.h>

namespace tutti::nccl {

ncclResult_t all_reduce(const void* in, void* out, size_t count, ncclDataType_t, ncclRedOp_t, ncclComm_t, cudaStream_t);
ncclResult_t reduce(const void* in, void* out, size_t count, ncclDataType_t, ncclRedOp_t, int root, ncclComm_t, cudaStream_t);
ncclResult_t broadcast(const void* in, void* out, size_t count, ncclDataType_t, int root, ncclComm_t, cudaStream_t);
ncclResult_t bcast(void* data, size_t count, ncclDataType_t, int root, ncclComm_t, cudaStream_t);
ncclResult_t all_gather(const void* in, void* out, size_t count, ncclDataType_t, ncclComm_t, cudaStream_t);
ncclResult_t reduce_scatter(const void* in, void* out, size_t count, ncclDataType_t, ncclRedOp_t, ncclComm_t, cudaStream_t);
ncclResult_t all_to_all(const void* in, void* out, size_t count, ncclDataType_t, ncclComm_t, cudaStream_t);
ncclResult_t gather(const void* in, void* out, size_t count, ncclDataType_t, int root, ncclComm_t, cudaStream_t);
ncclResult_t scatter(const void* in, void* out, size_t count, ncclDataType_t, int root, ncclComm_t, cudaStream_t);
ncclResult_t send(const void* data, size_t count, ncclDataType_t, int peer, ncclComm_t, cudaStream_t);
ncclResult_t recv(void* data, size_t count, ncclDataType_t, int peer, ncclComm_t, cudaStream_t);

// The same with a config of its own.
ncclResult_t check_config(const ncclCollConfig_t* config);
template <auto Function, class... Args>
ncclResult_t configured(const ncclCollConfig_t* config, Args... args) {
  const ncclResult_t result = check_config(config);
  return result == ncclSuccess ? Function(args...) : result;
}

}  // namespace tutti::nccl
