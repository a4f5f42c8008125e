// Communicators from an id, and from other communicators.
#pragma once

#include <nccl.h>

namespace tutti::nccl {

ncclResult_t comm_init_rank(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank);
ncclResult_t comm_init_rank_config(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config);
ncclResult_t comm_init_rank_scalable(ncclComm_t* comm, int ranks, int rank, int id_count, ncclUniqueId* ids,
                                     ncclConfig_t* config);
ncclResult_t comm_init_all(ncclComm_t* comms, int device_count, const int* devices);
ncclResult_t comm_split(ncclComm_t parent, int color, int key, ncclComm_t* comm, ncclConfig_t* config);
ncclResult_t comm_shrink(ncclComm_t parent, int* excluded, int excluded_count, ncclComm_t* comm, ncclConfig_t* config, int flags);
ncclResult_t comm_get_unique_id(ncclComm_t comm, ncclUniqueId* id);
ncclResult_t comm_grow(ncclComm_t parent, int ranks, const ncclUniqueId* id, int rank, ncclComm_t* comm, ncclConfig_t* config);

}  // namespace tutti::nccl
