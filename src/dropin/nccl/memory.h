// Memory for collectives, and what programs say about theirs.
#pragma once

#include <nccl.h>

namespace tutti::nccl {

ncclResult_t mem_alloc(void** memory, size_t size);
ncclResult_t mem_free(void* memory);
ncclResult_t comm_register(ncclComm_t comm, void* memory, size_t size, void** handle);
ncclResult_t comm_deregister(ncclComm_t comm, void* handle);
// Windows are memory that kernels reach on other GPUs: there are none, which a program learns as it does from NCCL on hardware
// without them, by a window that is NULL.
ncclResult_t comm_window_register(ncclComm_t comm, void* memory, size_t size, ncclWindow_t* window, int flags);
ncclResult_t comm_window_deregister(ncclComm_t comm, ncclWindow_t window);
ncclResult_t win_get_user_ptr(ncclComm_t comm, ncclWindow_t window, void** memory);
ncclResult_t put_signal(const void* data, size_t count, ncclDataType_t type, int peer, ncclWindow_t window, size_t offset,
                        int signal, int context, unsigned flags, ncclComm_t comm, cudaStream_t stream);
ncclResult_t signal(int peer, int signal, int context, unsigned flags, ncclComm_t comm, cudaStream_t stream);
ncclResult_t wait_signal(int count, ncclWaitSignalDesc_t* signals, ncclComm_t comm, cudaStream_t stream);

}  // namespace tutti::nccl
