// The host's side of NCCL's device interface: its declarations (NCCL keeps them in nccl_device.h, among those for kernels), and
// what it answers where there is no device.
#pragma once

#include <nccl.h>

extern "C" {

using ncclDevComm_t = struct ncclDevComm;
using ncclDevCommRequirements_t = struct ncclDevCommRequirements;

// What a kernel needs, and the handles by which it finds that later: as of 2.28 to 2.32.
struct ncclDevResourceRequirements {
  ncclDevResourceRequirements* next = nullptr;
  size_t bufferSize = 0, bufferAlign = 0;
  uint32_t* outBufferHandle = nullptr;
  int ginSignalCount = 0, ginCounterCount = 0;
  uint32_t *outGinSignalStart = nullptr, *outGinCounterStart = nullptr;
};
using ncclDevResourceRequirements_t = ncclDevResourceRequirements;
struct ncclLsaBarrierHandle {
  uint32_t bufHandle;
  int nBarriers;
};
using ncclLsaBarrierHandle_t = ncclLsaBarrierHandle;
struct ncclGinBarrierHandle {
  uint32_t signal0, unused;
};
using ncclGinBarrierHandle_t = ncclGinBarrierHandle;
struct ncclGinOutboxHandle {
  uint32_t bufHandle, size_log2;
};
using ncclGinOutboxHandle_t = ncclGinOutboxHandle;
struct ncclGinInboxA2AHandle {
  uint32_t bufHandle, signals, size_log2, nPeers_rcp32;
};
using ncclGinInboxA2AHandle_t = ncclGinInboxA2AHandle;
struct ncclLLA2AHandle {
  uint32_t bufHandle, nSlots;
};
using ncclLLA2AHandle_t = ncclLLA2AHandle;

struct ncclTeam {
  int nRanks, rank, stride;
};
using ncclTeam_t = ncclTeam;
struct ncclMultimemHandle {
  void* mcBasePtr;
};
using ncclMultimemHandle_t = ncclMultimemHandle;
enum ncclCftTeamMode_t { NCCL_CFT_TEAM_FLAT, NCCL_CFT_TEAM_HIER_MULTIMEM, NCCL_CFT_TEAM_HIER_LSA };

// As of 2.30; 2.29 ends before nLsaTeams.
struct ncclCommProperties {
  size_t size;
  unsigned magic, version;
  int rank, nRanks, cudaDev, nvmlDev;
  bool deviceApiSupport, multimemSupport;
  int ginType, nLsaTeams;
  bool hostRmaSupport;
  int railedGinType;
};
using ncclCommProperties_t = ncclCommProperties;

ncclResult_t ncclCommQueryProperties(ncclComm_t comm, ncclCommProperties_t* props);
ncclResult_t pncclCommQueryProperties(ncclComm_t comm, ncclCommProperties_t* props);
ncclResult_t ncclDevCommCreate(ncclComm_t comm, const ncclDevCommRequirements_t* reqs, ncclDevComm_t* outDevComm);
ncclResult_t pncclDevCommCreate(ncclComm_t comm, const ncclDevCommRequirements_t* reqs, ncclDevComm_t* outDevComm);
ncclResult_t ncclDevCommDestroy(ncclComm_t comm, const ncclDevComm_t* devComm);
ncclResult_t pncclDevCommDestroy(ncclComm_t comm, const ncclDevComm_t* devComm);
ncclResult_t ncclGetPeerDevicePointer(ncclWindow_t window, size_t offset, int peer, void** outPtr);
ncclResult_t pncclGetPeerDevicePointer(ncclWindow_t window, size_t offset, int peer, void** outPtr);
ncclResult_t ncclGetLsaDevicePointer(ncclWindow_t window, size_t offset, int lsaRank, void** outPtr);
ncclResult_t pncclGetLsaDevicePointer(ncclWindow_t window, size_t offset, int lsaRank, void** outPtr);
ncclResult_t ncclGetLsaMultimemDevicePointer(ncclWindow_t window, size_t offset, void** outPtr);
ncclResult_t pncclGetLsaMultimemDevicePointer(ncclWindow_t window, size_t offset, void** outPtr);
ncclResult_t ncclGetMultimemDevicePointer(ncclWindow_t window, size_t offset, ncclMultimemHandle_t multimem, void** outPtr);
ncclResult_t pncclGetMultimemDevicePointer(ncclWindow_t window, size_t offset, ncclMultimemHandle_t multimem, void** outPtr);
ncclResult_t ncclGetPeerDeviceLeInfo(ncclWindow_t window, size_t offset, int peerWorld, uint32_t* leId, size_t* leOffset);
ncclResult_t pncclGetPeerDeviceLeInfo(ncclWindow_t window, size_t offset, int peerWorld, uint32_t* leId, size_t* leOffset);
ncclResult_t ncclGetCftDeviceLeInfo(ncclWindow_t window, size_t offset, int peerCft, ncclTeam_t cftTeam, uint32_t* leId,
                                    size_t* leOffset);
ncclResult_t pncclGetCftDeviceLeInfo(ncclWindow_t window, size_t offset, int peerCft, ncclTeam_t cftTeam, uint32_t* leId,
                                     size_t* leOffset);
ncclResult_t ncclGetMultimemDeviceLeInfo(ncclWindow_t window, size_t offset, uint32_t* leId, size_t* leOffset);
ncclResult_t pncclGetMultimemDeviceLeInfo(ncclWindow_t window, size_t offset, uint32_t* leId, size_t* leOffset);
ncclTeam_t ncclTeamWorld(ncclComm_t comm);
ncclTeam_t pncclTeamWorld(ncclComm_t comm);
ncclTeam_t ncclTeamLsa(ncclComm_t comm);
ncclTeam_t pncclTeamLsa(ncclComm_t comm);
ncclTeam_t ncclTeamRail(ncclComm_t comm);
ncclTeam_t pncclTeamRail(ncclComm_t comm);
ncclTeam_t ncclTeamCft(ncclComm_t comm, ncclCftTeamMode_t mode);
ncclTeam_t pncclTeamCft(ncclComm_t comm, ncclCftTeamMode_t mode);
ncclTeam_t ncclTeamCftMultimem(ncclComm_t comm);
ncclTeam_t pncclTeamCftMultimem(ncclComm_t comm);
int ncclTeamRankToWorld(ncclComm_t comm, ncclTeam_t team, int rank);
int pncclTeamRankToWorld(ncclComm_t comm, ncclTeam_t team, int rank);
int ncclTeamRankToLsa(ncclComm_t comm, ncclTeam_t team, int rank);
int pncclTeamRankToLsa(ncclComm_t comm, ncclTeam_t team, int rank);
ncclResult_t ncclLsaBarrierCreateRequirement(ncclTeam_t team, int nBarriers, ncclLsaBarrierHandle_t* outHandle,
                                             ncclDevResourceRequirements_t* outReq);
ncclResult_t pncclLsaBarrierCreateRequirement(ncclTeam_t team, int nBarriers, ncclLsaBarrierHandle_t* outHandle,
                                              ncclDevResourceRequirements_t* outReq);
ncclResult_t ncclGinBarrierCreateRequirement(ncclComm_t comm, ncclTeam_t team, int nBarriers, ncclGinBarrierHandle_t* outHandle,
                                             ncclDevResourceRequirements_t* outReq);
ncclResult_t pncclGinBarrierCreateRequirement(ncclComm_t comm, ncclTeam_t team, int nBarriers, ncclGinBarrierHandle_t* outHandle,
                                              ncclDevResourceRequirements_t* outReq);
ncclResult_t ncclGinOutboxCreateRequirement(int nBlocks, int size_log2, ncclGinOutboxHandle_t* outHandle,
                                            ncclDevResourceRequirements_t* outReq);
ncclResult_t pncclGinOutboxCreateRequirement(int nBlocks, int size_log2, ncclGinOutboxHandle_t* outHandle,
                                             ncclDevResourceRequirements_t* outReq);
ncclResult_t ncclGinInboxA2ACreateRequirement(ncclTeam_t peers, int nBlocks, int size_log2, ncclGinInboxA2AHandle_t* outHandle,
                                              ncclDevResourceRequirements_t* outReq);
ncclResult_t pncclGinInboxA2ACreateRequirement(ncclTeam_t peers, int nBlocks, int size_log2, ncclGinInboxA2AHandle_t* outHandle,
                                               ncclDevResourceRequirements_t* outReq);
int ncclLLA2ACalcSlots(int maxElts, int maxEltSize);
int pncclLLA2ACalcSlots(int maxElts, int maxEltSize);
ncclResult_t ncclLLA2ACreateRequirement(int nBlocks, int nSlots, ncclLLA2AHandle_t* outHandle,
                                        ncclDevResourceRequirements_t* outReq);
ncclResult_t pncclLLA2ACreateRequirement(int nBlocks, int nSlots, ncclLLA2AHandle_t* outHandle,
                                         ncclDevResourceRequirements_t* outReq);

}  // extern "C"

namespace tutti::nccl {

ncclResult_t comm_query_properties(ncclComm_t comm, ncclCommProperties_t* properties);
ncclResult_t dev_comm_create(ncclComm_t comm, const ncclDevCommRequirements_t* requirements, ncclDevComm_t* made);
ncclResult_t dev_comm_destroy(ncclComm_t comm, const ncclDevComm_t* made);
// Pointers of windows, of which there are none.
ncclResult_t window_pointer(ncclWindow_t window, size_t offset, void** pointer);
// What kernels would need for their barriers and mailboxes. Nobody gets it without a GPU (dev_comm_create), but what it is NCCL
// says anywhere.
ncclResult_t lsa_barrier_requirement(ncclTeam_t team, int barriers, ncclLsaBarrierHandle_t* handle,
                                     ncclDevResourceRequirements_t* needs);
ncclResult_t gin_barrier_requirement(ncclTeam_t team, int barriers, ncclGinBarrierHandle_t* handle,
                                     ncclDevResourceRequirements_t* needs);
ncclResult_t gin_outbox_requirement(int blocks, int size_log2, ncclGinOutboxHandle_t* handle,
                                    ncclDevResourceRequirements_t* needs);
ncclResult_t gin_inbox_requirement(ncclTeam_t peers, int blocks, int size_log2, ncclGinInboxA2AHandle_t* handle,
                                   ncclDevResourceRequirements_t* needs);
ncclResult_t lla2a_requirement(int blocks, int slots, ncclLLA2AHandle_t* handle, ncclDevResourceRequirements_t* needs);
// All ranks; those whose memory a kernel reaches directly (this one alone); one of each of such teams (all).
ncclTeam_t team_world(ncclComm_t comm);
ncclTeam_t team_alone(ncclComm_t comm);
int team_rank_to_world(ncclComm_t comm, ncclTeam_t team, int rank);
int team_rank_to_lsa(ncclComm_t comm, ncclTeam_t team, int rank);

}  // namespace tutti::nccl
