// The names that programs call. ncclX is another name of pncclX, and weak: a program's or a tool's own ncclX goes before it.
#include <nccl.h>

#include "core/config.h"
#include "nccl/calls.h"
#include "nccl/comm.h"
#include "nccl/device.h"
#include "nccl/errors.h"
#include "nccl/group.h"
#include "nccl/init.h"
#include "nccl/memory.h"
#include "nccl/ops.h"
#include "nccl/params.h"
#include "nccl/unique_id.h"

namespace tutti::nccl {
namespace {

ncclResult_t get_version(int* version) {
  if (version == nullptr) return invalid_argument("ncclGetVersion: version is NULL");
  auto config = Config::from_environment();
  if (!config) return report(config.because("ncclGetVersion"));
  *version = static_cast<int>(config->integer(Var::nccl_version));
  return ncclSuccess;
}

// Connections are authenticated, but not encrypted.
ncclResult_t set_encryption(const ncclEncryptionConfig_t* config) {
  if (config == nullptr || config->magic != NCCL_API_MAGIC)
    return invalid_argument("ncclSetEncryption: config is NULL or was not set with NCCL_ENCRYPTION_CONFIG_INITIALIZER");
  if (config->mode == NCCL_ENCRYPTION_MODE_NONE) return ncclSuccess;
  return invalid_usage("ncclSetEncryption: mode {} is not offered, only NCCL_ENCRYPTION_MODE_NONE", config->mode);
}

}  // namespace
}  // namespace tutti::nccl

namespace nccl = tutti::nccl;
using tutti::nccl::entry;
using tutti::nccl::grouped;

extern "C" {

ncclResult_t pncclGetVersion(int* version) { return entry<nccl::get_version>(version); }
const char* pncclGetErrorString(ncclResult_t result) { return nccl::get_error_string(result); }
const char* pncclGetLastError(ncclComm_t comm) { return nccl::get_last_error(comm); }
ncclResult_t pncclGetUniqueId(ncclUniqueId* uniqueId) { return entry<nccl::get_unique_id>(uniqueId); }
ncclResult_t pncclCommInitRank(ncclComm_t* comm, int nranks, ncclUniqueId commId, int rank) {
  return grouped<nccl::comm_init_rank>(comm, nranks, commId, rank);
}
ncclResult_t pncclCommInitRankConfig(ncclComm_t* comm, int nranks, ncclUniqueId commId, int rank, ncclConfig_t* config) {
  return grouped<nccl::comm_init_rank_config>(comm, nranks, commId, rank, config);
}
ncclResult_t pncclCommInitRankScalable(ncclComm_t* newcomm, int nranks, int myrank, int nId, ncclUniqueId* commIds,
                                       ncclConfig_t* config) {
  return grouped<nccl::comm_init_rank_scalable>(newcomm, nranks, myrank, nId, commIds, config);
}
ncclResult_t pncclCommInitAll(ncclComm_t* comm, int ndev, const int* devlist) {
  return grouped<nccl::comm_init_all>(comm, ndev, devlist);
}
ncclResult_t pncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* newcomm, ncclConfig_t* config) {
  return grouped<nccl::comm_split>(comm, color, key, newcomm, config);
}
ncclResult_t pncclCommShrink(ncclComm_t comm, int* excludeRanksList, int excludeRanksCount, ncclComm_t* newcomm,
                             ncclConfig_t* config, int shrinkFlags) {
  return grouped<nccl::comm_shrink>(comm, excludeRanksList, excludeRanksCount, newcomm, config, shrinkFlags);
}
ncclResult_t pncclCommGetUniqueId(ncclComm_t comm, ncclUniqueId* uniqueId) {
  return entry<nccl::comm_get_unique_id>(comm, uniqueId);
}
ncclResult_t pncclCommGrow(ncclComm_t comm, int nRanks, const ncclUniqueId* uniqueId, int rank, ncclComm_t* newcomm,
                           ncclConfig_t* config) {
  return grouped<nccl::comm_grow>(comm, nRanks, uniqueId, rank, newcomm, config);
}
ncclResult_t pncclCommFinalize(ncclComm_t comm) { return entry<nccl::comm_finalize>(comm); }
ncclResult_t pncclCommDestroy(ncclComm_t comm) { return entry<nccl::comm_destroy>(comm); }
ncclResult_t pncclCommAbort(ncclComm_t comm) { return entry<nccl::comm_abort>(comm); }
ncclResult_t pncclCommRevoke(ncclComm_t comm, int revokeFlags) { return entry<nccl::comm_revoke>(comm, revokeFlags); }
ncclResult_t pncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* asyncError) {
  return entry<nccl::comm_get_async_error>(comm, asyncError);
}
ncclResult_t pncclCommCount(const ncclComm_t comm, int* count) { return entry<nccl::comm_count>(comm, count); }
ncclResult_t pncclCommCuDevice(const ncclComm_t comm, int* device) { return entry<nccl::comm_cu_device>(comm, device); }
ncclResult_t pncclCommUserRank(const ncclComm_t comm, int* rank) { return entry<nccl::comm_user_rank>(comm, rank); }
ncclResult_t pncclCommSuspend(ncclComm_t comm, int flags) { return entry<nccl::comm_suspend>(comm, flags); }
ncclResult_t pncclCommResume(ncclComm_t comm) { return entry<nccl::comm_resume>(comm); }
ncclResult_t pncclCommMemStats(ncclComm_t comm, ncclCommMemStat_t stat, uint64_t* value) {
  return entry<nccl::comm_mem_stats>(comm, stat, value);
}
ncclResult_t pncclMemAlloc(void** ptr, size_t size) { return entry<nccl::mem_alloc>(ptr, size); }
ncclResult_t pncclMemFree(void* ptr) { return entry<nccl::mem_free>(ptr); }
ncclResult_t pncclCommRegister(const ncclComm_t comm, void* buff, size_t size, void** handle) {
  return entry<nccl::comm_register>(comm, buff, size, handle);
}
ncclResult_t pncclCommDeregister(const ncclComm_t comm, void* handle) { return entry<nccl::comm_deregister>(comm, handle); }
ncclResult_t pncclCommWindowRegister(ncclComm_t comm, void* buff, size_t size, ncclWindow_t* win, int winFlags) {
  return entry<nccl::comm_window_register>(comm, buff, size, win, winFlags);
}
ncclResult_t pncclCommWindowDeregister(ncclComm_t comm, ncclWindow_t win) {
  return entry<nccl::comm_window_deregister>(comm, win);
}
ncclResult_t pncclWinGetUserPtr(ncclComm_t comm, ncclWindow_t win, void** outUserPtr) {
  return entry<nccl::win_get_user_ptr>(comm, win, outUserPtr);
}
ncclResult_t pncclRedOpCreatePreMulSum(ncclRedOp_t* op, void* scalar, ncclDataType_t datatype, ncclScalarResidence_t residence,
                                       ncclComm_t comm) {
  return entry<nccl::red_op_create_pre_mul_sum>(op, scalar, datatype, residence, comm);
}
ncclResult_t pncclRedOpDestroy(ncclRedOp_t op, ncclComm_t comm) { return entry<nccl::red_op_destroy>(op, comm); }
ncclResult_t pncclAllReduce(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op,
                            ncclComm_t comm, cudaStream_t stream) {
  return grouped<nccl::all_reduce>(sendbuff, recvbuff, count, datatype, op, comm, stream);
}
ncclResult_t pncclReduce(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op, int root,
                         ncclComm_t comm, cudaStream_t stream) {
  return grouped<nccl::reduce>(sendbuff, recvbuff, count, datatype, op, root, comm, stream);
}
ncclResult_t pncclBroadcast(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
                            ncclComm_t comm, cudaStream_t stream) {
  return grouped<nccl::broadcast>(sendbuff, recvbuff, count, datatype, root, comm, stream);
}
ncclResult_t pncclBcast(void* buff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm, cudaStream_t stream) {
  return grouped<nccl::bcast>(buff, count, datatype, root, comm, stream);
}
ncclResult_t pncclAllGather(const void* sendbuff, void* recvbuff, size_t sendcount, ncclDataType_t datatype, ncclComm_t comm,
                            cudaStream_t stream) {
  return grouped<nccl::all_gather>(sendbuff, recvbuff, sendcount, datatype, comm, stream);
}
ncclResult_t pncclReduceScatter(const void* sendbuff, void* recvbuff, size_t recvcount, ncclDataType_t datatype, ncclRedOp_t op,
                                ncclComm_t comm, cudaStream_t stream) {
  return grouped<nccl::reduce_scatter>(sendbuff, recvbuff, recvcount, datatype, op, comm, stream);
}
ncclResult_t pncclAlltoAll(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclComm_t comm,
                           cudaStream_t stream) {
  return grouped<nccl::all_to_all>(sendbuff, recvbuff, count, datatype, comm, stream);
}
ncclResult_t pncclGather(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm,
                         cudaStream_t stream) {
  return grouped<nccl::gather>(sendbuff, recvbuff, count, datatype, root, comm, stream);
}
ncclResult_t pncclScatter(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm,
                          cudaStream_t stream) {
  return grouped<nccl::scatter>(sendbuff, recvbuff, count, datatype, root, comm, stream);
}
ncclResult_t pncclAllReduceConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op,
                                  ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config) {
  return grouped<
      nccl::configured<nccl::all_reduce, const void*, void*, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t, cudaStream_t>>(
      config, sendbuff, recvbuff, count, datatype, op, comm, stream);
}
ncclResult_t pncclReduceConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op,
                               int root, ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config) {
  return grouped<
      nccl::configured<nccl::reduce, const void*, void*, size_t, ncclDataType_t, ncclRedOp_t, int, ncclComm_t, cudaStream_t>>(
      config, sendbuff, recvbuff, count, datatype, op, root, comm, stream);
}
ncclResult_t pncclBroadcastConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
                                  ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config) {
  return grouped<nccl::configured<nccl::broadcast, const void*, void*, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t>>(
      config, sendbuff, recvbuff, count, datatype, root, comm, stream);
}
ncclResult_t pncclAllGatherConfig(const void* sendbuff, void* recvbuff, size_t sendcount, ncclDataType_t datatype,
                                  ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config) {
  return grouped<nccl::configured<nccl::all_gather, const void*, void*, size_t, ncclDataType_t, ncclComm_t, cudaStream_t>>(
      config, sendbuff, recvbuff, sendcount, datatype, comm, stream);
}
ncclResult_t pncclReduceScatterConfig(const void* sendbuff, void* recvbuff, size_t recvcount, ncclDataType_t datatype,
                                      ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config) {
  return grouped<
      nccl::configured<nccl::reduce_scatter, const void*, void*, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t, cudaStream_t>>(
      config, sendbuff, recvbuff, recvcount, datatype, op, comm, stream);
}
ncclResult_t pncclAlltoAllConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclComm_t comm,
                                 cudaStream_t stream, const ncclCollConfig_t* config) {
  return grouped<nccl::configured<nccl::all_to_all, const void*, void*, size_t, ncclDataType_t, ncclComm_t, cudaStream_t>>(
      config, sendbuff, recvbuff, count, datatype, comm, stream);
}
ncclResult_t pncclGatherConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
                               ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config) {
  return grouped<nccl::configured<nccl::gather, const void*, void*, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t>>(
      config, sendbuff, recvbuff, count, datatype, root, comm, stream);
}
ncclResult_t pncclScatterConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
                                ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config) {
  return grouped<nccl::configured<nccl::scatter, const void*, void*, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t>>(
      config, sendbuff, recvbuff, count, datatype, root, comm, stream);
}
ncclResult_t pncclSend(const void* sendbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                       cudaStream_t stream) {
  return grouped<nccl::send>(sendbuff, count, datatype, peer, comm, stream);
}
ncclResult_t pncclRecv(void* recvbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm, cudaStream_t stream) {
  return grouped<nccl::recv>(recvbuff, count, datatype, peer, comm, stream);
}
ncclResult_t pncclPutSignal(const void* localbuff, size_t count, ncclDataType_t datatype, int peer, ncclWindow_t peerWin,
                            size_t peerWinOffset, int sigIdx, int ctx, unsigned int flags, ncclComm_t comm, cudaStream_t stream) {
  return entry<nccl::put_signal>(localbuff, count, datatype, peer, peerWin, peerWinOffset, sigIdx, ctx, flags, comm, stream);
}
ncclResult_t pncclSignal(int peer, int sigIdx, int ctx, unsigned int flags, ncclComm_t comm, cudaStream_t stream) {
  return entry<nccl::signal>(peer, sigIdx, ctx, flags, comm, stream);
}
ncclResult_t pncclWaitSignal(int nDesc, ncclWaitSignalDesc_t* signalDescs, ncclComm_t comm, cudaStream_t stream) {
  return entry<nccl::wait_signal>(nDesc, signalDescs, comm, stream);
}
ncclResult_t pncclGroupStart() { return entry<nccl::group_start>(); }
ncclResult_t pncclGroupEnd() { return entry<nccl::group_end>(); }
ncclResult_t pncclGroupSimulateEnd(ncclSimInfo_t* simInfo) { return entry<nccl::group_simulate_end>(simInfo); }
ncclResult_t pncclParamBind(ncclParamHandle_t* out, const char* key) { return entry<nccl::param_bind>(out, key); }
ncclResult_t pncclParamGetI8(ncclParamHandle_t h, int8_t* out) { return entry<nccl::param_get_integer<int8_t>>(h, out); }
ncclResult_t pncclParamGetI16(ncclParamHandle_t h, int16_t* out) { return entry<nccl::param_get_integer<int16_t>>(h, out); }
ncclResult_t pncclParamGetI32(ncclParamHandle_t h, int32_t* out) { return entry<nccl::param_get_integer<int32_t>>(h, out); }
ncclResult_t pncclParamGetI64(ncclParamHandle_t h, int64_t* out) { return entry<nccl::param_get_integer<int64_t>>(h, out); }
ncclResult_t pncclParamGetU8(ncclParamHandle_t h, uint8_t* out) { return entry<nccl::param_get_integer<uint8_t>>(h, out); }
ncclResult_t pncclParamGetU16(ncclParamHandle_t h, uint16_t* out) { return entry<nccl::param_get_integer<uint16_t>>(h, out); }
ncclResult_t pncclParamGetU32(ncclParamHandle_t h, uint32_t* out) { return entry<nccl::param_get_integer<uint32_t>>(h, out); }
ncclResult_t pncclParamGetU64(ncclParamHandle_t h, uint64_t* out) { return entry<nccl::param_get_integer<uint64_t>>(h, out); }
ncclResult_t pncclParamGetStr(ncclParamHandle_t h, const char** out) { return entry<nccl::param_get_str>(h, out); }
ncclResult_t pncclParamGet(ncclParamHandle_t h, void* out, int maxLen, int* len) {
  return entry<nccl::param_get>(h, out, maxLen, len);
}
ncclResult_t pncclParamGetParameter(const char* key, const char** value, int* valueLen) {
  return entry<nccl::param_get_parameter>(key, value, valueLen);
}
ncclResult_t pncclParamGetAllParameterKeys(const char*** table, int* tableLen) {
  return entry<nccl::param_get_all_parameter_keys>(table, tableLen);
}
void pncclParamDumpAll() { nccl::param_dump_all(); }
ncclResult_t pncclSetEncryption(const ncclEncryptionConfig_t* config) { return entry<nccl::set_encryption>(config); }
void pncclResetDebugInit() { nccl::reset_debug_init(); }
ncclResult_t pncclCommQueryProperties(ncclComm_t comm, ncclCommProperties_t* props) {
  return entry<nccl::comm_query_properties>(comm, props);
}
ncclResult_t pncclDevCommCreate(ncclComm_t comm, const ncclDevCommRequirements_t* reqs, ncclDevComm_t* outDevComm) {
  return entry<nccl::dev_comm_create>(comm, reqs, outDevComm);
}
ncclResult_t pncclDevCommDestroy(ncclComm_t comm, const ncclDevComm_t* devComm) {
  return entry<nccl::dev_comm_destroy>(comm, devComm);
}
ncclResult_t pncclGetPeerDevicePointer(ncclWindow_t window, size_t offset, int, void** outPtr) {
  return entry<nccl::window_pointer>(window, offset, outPtr);
}
ncclResult_t pncclGetLsaDevicePointer(ncclWindow_t window, size_t offset, int, void** outPtr) {
  return entry<nccl::window_pointer>(window, offset, outPtr);
}
ncclResult_t pncclGetLsaMultimemDevicePointer(ncclWindow_t window, size_t offset, void** outPtr) {
  return entry<nccl::window_pointer>(window, offset, outPtr);
}
ncclResult_t pncclGetMultimemDevicePointer(ncclWindow_t window, size_t offset, ncclMultimemHandle_t, void** outPtr) {
  return entry<nccl::window_pointer>(window, offset, outPtr);
}
ncclResult_t pncclGetPeerDeviceLeInfo(ncclWindow_t window, size_t offset, int, uint32_t*, size_t*) {
  return entry<nccl::window_pointer>(window, offset, static_cast<void**>(nullptr));
}
ncclResult_t pncclGetCftDeviceLeInfo(ncclWindow_t window, size_t offset, int, ncclTeam_t, uint32_t*, size_t*) {
  return entry<nccl::window_pointer>(window, offset, static_cast<void**>(nullptr));
}
ncclResult_t pncclGetMultimemDeviceLeInfo(ncclWindow_t window, size_t offset, uint32_t*, size_t*) {
  return entry<nccl::window_pointer>(window, offset, static_cast<void**>(nullptr));
}
ncclTeam_t pncclTeamWorld(ncclComm_t comm) { return nccl::team_world(comm); }
ncclTeam_t pncclTeamLsa(ncclComm_t comm) { return nccl::team_alone(comm); }
ncclTeam_t pncclTeamRail(ncclComm_t comm) { return nccl::team_world(comm); }
ncclTeam_t pncclTeamCft(ncclComm_t comm, ncclCftTeamMode_t) { return nccl::team_alone(comm); }
ncclTeam_t pncclTeamCftMultimem(ncclComm_t comm) { return nccl::team_alone(comm); }
int pncclTeamRankToWorld(ncclComm_t comm, ncclTeam_t team, int rank) { return nccl::team_rank_to_world(comm, team, rank); }
int pncclTeamRankToLsa(ncclComm_t comm, ncclTeam_t team, int rank) { return nccl::team_rank_to_lsa(comm, team, rank); }
ncclResult_t pncclLsaBarrierCreateRequirement(ncclTeam_t team, int nBarriers, ncclLsaBarrierHandle_t* outHandle,
                                              ncclDevResourceRequirements_t* outReq) {
  return entry<nccl::lsa_barrier_requirement>(team, nBarriers, outHandle, outReq);
}
ncclResult_t pncclGinBarrierCreateRequirement(ncclComm_t, ncclTeam_t team, int nBarriers, ncclGinBarrierHandle_t* outHandle,
                                              ncclDevResourceRequirements_t* outReq) {
  return entry<nccl::gin_barrier_requirement>(team, nBarriers, outHandle, outReq);
}
ncclResult_t pncclGinOutboxCreateRequirement(int nBlocks, int size_log2, ncclGinOutboxHandle_t* outHandle,
                                             ncclDevResourceRequirements_t* outReq) {
  return entry<nccl::gin_outbox_requirement>(nBlocks, size_log2, outHandle, outReq);
}
ncclResult_t pncclGinInboxA2ACreateRequirement(ncclTeam_t peers, int nBlocks, int size_log2, ncclGinInboxA2AHandle_t* outHandle,
                                               ncclDevResourceRequirements_t* outReq) {
  return entry<nccl::gin_inbox_requirement>(peers, nBlocks, size_log2, outHandle, outReq);
}
int pncclLLA2ACalcSlots(int maxElts, int maxEltSize) { return maxElts * ((maxEltSize + 7) / 8); }
ncclResult_t pncclLLA2ACreateRequirement(int nBlocks, int nSlots, ncclLLA2AHandle_t* outHandle,
                                         ncclDevResourceRequirements_t* outReq) {
  return entry<nccl::lla2a_requirement>(nBlocks, nSlots, outHandle, outReq);
}
void ncclResetDebugInitInternal() { nccl::reset_debug_init(); }

extern decltype(pncclGetVersion) ncclGetVersion __attribute__((weak, alias("pncclGetVersion")));
extern decltype(pncclGetErrorString) ncclGetErrorString __attribute__((weak, alias("pncclGetErrorString")));
extern decltype(pncclGetLastError) ncclGetLastError __attribute__((weak, alias("pncclGetLastError")));
extern decltype(pncclGetUniqueId) ncclGetUniqueId __attribute__((weak, alias("pncclGetUniqueId")));
extern decltype(pncclCommInitRank) ncclCommInitRank __attribute__((weak, alias("pncclCommInitRank")));
extern decltype(pncclCommInitRankConfig) ncclCommInitRankConfig __attribute__((weak, alias("pncclCommInitRankConfig")));
extern decltype(pncclCommInitRankScalable) ncclCommInitRankScalable __attribute__((weak, alias("pncclCommInitRankScalable")));
extern decltype(pncclCommInitAll) ncclCommInitAll __attribute__((weak, alias("pncclCommInitAll")));
extern decltype(pncclCommSplit) ncclCommSplit __attribute__((weak, alias("pncclCommSplit")));
extern decltype(pncclCommShrink) ncclCommShrink __attribute__((weak, alias("pncclCommShrink")));
extern decltype(pncclCommGetUniqueId) ncclCommGetUniqueId __attribute__((weak, alias("pncclCommGetUniqueId")));
extern decltype(pncclCommGrow) ncclCommGrow __attribute__((weak, alias("pncclCommGrow")));
extern decltype(pncclCommFinalize) ncclCommFinalize __attribute__((weak, alias("pncclCommFinalize")));
extern decltype(pncclCommDestroy) ncclCommDestroy __attribute__((weak, alias("pncclCommDestroy")));
extern decltype(pncclCommAbort) ncclCommAbort __attribute__((weak, alias("pncclCommAbort")));
extern decltype(pncclCommRevoke) ncclCommRevoke __attribute__((weak, alias("pncclCommRevoke")));
extern decltype(pncclCommGetAsyncError) ncclCommGetAsyncError __attribute__((weak, alias("pncclCommGetAsyncError")));
extern decltype(pncclCommCount) ncclCommCount __attribute__((weak, alias("pncclCommCount")));
extern decltype(pncclCommCuDevice) ncclCommCuDevice __attribute__((weak, alias("pncclCommCuDevice")));
extern decltype(pncclCommUserRank) ncclCommUserRank __attribute__((weak, alias("pncclCommUserRank")));
extern decltype(pncclCommSuspend) ncclCommSuspend __attribute__((weak, alias("pncclCommSuspend")));
extern decltype(pncclCommResume) ncclCommResume __attribute__((weak, alias("pncclCommResume")));
extern decltype(pncclCommMemStats) ncclCommMemStats __attribute__((weak, alias("pncclCommMemStats")));
extern decltype(pncclMemAlloc) ncclMemAlloc __attribute__((weak, alias("pncclMemAlloc")));
extern decltype(pncclMemFree) ncclMemFree __attribute__((weak, alias("pncclMemFree")));
extern decltype(pncclCommRegister) ncclCommRegister __attribute__((weak, alias("pncclCommRegister")));
extern decltype(pncclCommDeregister) ncclCommDeregister __attribute__((weak, alias("pncclCommDeregister")));
extern decltype(pncclCommWindowRegister) ncclCommWindowRegister __attribute__((weak, alias("pncclCommWindowRegister")));
extern decltype(pncclCommWindowDeregister) ncclCommWindowDeregister __attribute__((weak, alias("pncclCommWindowDeregister")));
extern decltype(pncclWinGetUserPtr) ncclWinGetUserPtr __attribute__((weak, alias("pncclWinGetUserPtr")));
extern decltype(pncclRedOpCreatePreMulSum) ncclRedOpCreatePreMulSum __attribute__((weak, alias("pncclRedOpCreatePreMulSum")));
extern decltype(pncclRedOpDestroy) ncclRedOpDestroy __attribute__((weak, alias("pncclRedOpDestroy")));
extern decltype(pncclAllReduce) ncclAllReduce __attribute__((weak, alias("pncclAllReduce")));
extern decltype(pncclReduce) ncclReduce __attribute__((weak, alias("pncclReduce")));
extern decltype(pncclBroadcast) ncclBroadcast __attribute__((weak, alias("pncclBroadcast")));
extern decltype(pncclBcast) ncclBcast __attribute__((weak, alias("pncclBcast")));
extern decltype(pncclAllGather) ncclAllGather __attribute__((weak, alias("pncclAllGather")));
extern decltype(pncclReduceScatter) ncclReduceScatter __attribute__((weak, alias("pncclReduceScatter")));
extern decltype(pncclAlltoAll) ncclAlltoAll __attribute__((weak, alias("pncclAlltoAll")));
extern decltype(pncclGather) ncclGather __attribute__((weak, alias("pncclGather")));
extern decltype(pncclScatter) ncclScatter __attribute__((weak, alias("pncclScatter")));
extern decltype(pncclAllReduceConfig) ncclAllReduceConfig __attribute__((weak, alias("pncclAllReduceConfig")));
extern decltype(pncclReduceConfig) ncclReduceConfig __attribute__((weak, alias("pncclReduceConfig")));
extern decltype(pncclBroadcastConfig) ncclBroadcastConfig __attribute__((weak, alias("pncclBroadcastConfig")));
extern decltype(pncclAllGatherConfig) ncclAllGatherConfig __attribute__((weak, alias("pncclAllGatherConfig")));
extern decltype(pncclReduceScatterConfig) ncclReduceScatterConfig __attribute__((weak, alias("pncclReduceScatterConfig")));
extern decltype(pncclAlltoAllConfig) ncclAlltoAllConfig __attribute__((weak, alias("pncclAlltoAllConfig")));
extern decltype(pncclGatherConfig) ncclGatherConfig __attribute__((weak, alias("pncclGatherConfig")));
extern decltype(pncclScatterConfig) ncclScatterConfig __attribute__((weak, alias("pncclScatterConfig")));
extern decltype(pncclSend) ncclSend __attribute__((weak, alias("pncclSend")));
extern decltype(pncclRecv) ncclRecv __attribute__((weak, alias("pncclRecv")));
extern decltype(pncclPutSignal) ncclPutSignal __attribute__((weak, alias("pncclPutSignal")));
extern decltype(pncclSignal) ncclSignal __attribute__((weak, alias("pncclSignal")));
extern decltype(pncclWaitSignal) ncclWaitSignal __attribute__((weak, alias("pncclWaitSignal")));
extern decltype(pncclGroupStart) ncclGroupStart __attribute__((weak, alias("pncclGroupStart")));
extern decltype(pncclGroupEnd) ncclGroupEnd __attribute__((weak, alias("pncclGroupEnd")));
extern decltype(pncclGroupSimulateEnd) ncclGroupSimulateEnd __attribute__((weak, alias("pncclGroupSimulateEnd")));
extern decltype(pncclParamBind) ncclParamBind __attribute__((weak, alias("pncclParamBind")));
extern decltype(pncclParamGetI8) ncclParamGetI8 __attribute__((weak, alias("pncclParamGetI8")));
extern decltype(pncclParamGetI16) ncclParamGetI16 __attribute__((weak, alias("pncclParamGetI16")));
extern decltype(pncclParamGetI32) ncclParamGetI32 __attribute__((weak, alias("pncclParamGetI32")));
extern decltype(pncclParamGetI64) ncclParamGetI64 __attribute__((weak, alias("pncclParamGetI64")));
extern decltype(pncclParamGetU8) ncclParamGetU8 __attribute__((weak, alias("pncclParamGetU8")));
extern decltype(pncclParamGetU16) ncclParamGetU16 __attribute__((weak, alias("pncclParamGetU16")));
extern decltype(pncclParamGetU32) ncclParamGetU32 __attribute__((weak, alias("pncclParamGetU32")));
extern decltype(pncclParamGetU64) ncclParamGetU64 __attribute__((weak, alias("pncclParamGetU64")));
extern decltype(pncclParamGetStr) ncclParamGetStr __attribute__((weak, alias("pncclParamGetStr")));
extern decltype(pncclParamGet) ncclParamGet __attribute__((weak, alias("pncclParamGet")));
extern decltype(pncclParamGetParameter) ncclParamGetParameter __attribute__((weak, alias("pncclParamGetParameter")));
extern decltype(pncclParamGetAllParameterKeys) ncclParamGetAllParameterKeys
    __attribute__((weak, alias("pncclParamGetAllParameterKeys")));
extern decltype(pncclParamDumpAll) ncclParamDumpAll __attribute__((weak, alias("pncclParamDumpAll")));
extern decltype(pncclSetEncryption) ncclSetEncryption __attribute__((weak, alias("pncclSetEncryption")));
extern decltype(pncclResetDebugInit) ncclResetDebugInit __attribute__((weak, alias("pncclResetDebugInit")));
extern decltype(pncclCommQueryProperties) ncclCommQueryProperties __attribute__((weak, alias("pncclCommQueryProperties")));
extern decltype(pncclDevCommCreate) ncclDevCommCreate __attribute__((weak, alias("pncclDevCommCreate")));
extern decltype(pncclDevCommDestroy) ncclDevCommDestroy __attribute__((weak, alias("pncclDevCommDestroy")));
extern decltype(pncclGetPeerDevicePointer) ncclGetPeerDevicePointer __attribute__((weak, alias("pncclGetPeerDevicePointer")));
extern decltype(pncclGetLsaDevicePointer) ncclGetLsaDevicePointer __attribute__((weak, alias("pncclGetLsaDevicePointer")));
extern decltype(pncclGetLsaMultimemDevicePointer) ncclGetLsaMultimemDevicePointer
    __attribute__((weak, alias("pncclGetLsaMultimemDevicePointer")));
extern decltype(pncclGetMultimemDevicePointer) ncclGetMultimemDevicePointer
    __attribute__((weak, alias("pncclGetMultimemDevicePointer")));
extern decltype(pncclGetPeerDeviceLeInfo) ncclGetPeerDeviceLeInfo __attribute__((weak, alias("pncclGetPeerDeviceLeInfo")));
extern decltype(pncclGetCftDeviceLeInfo) ncclGetCftDeviceLeInfo __attribute__((weak, alias("pncclGetCftDeviceLeInfo")));
extern decltype(pncclGetMultimemDeviceLeInfo) ncclGetMultimemDeviceLeInfo
    __attribute__((weak, alias("pncclGetMultimemDeviceLeInfo")));
extern decltype(pncclTeamWorld) ncclTeamWorld __attribute__((weak, alias("pncclTeamWorld")));
extern decltype(pncclTeamLsa) ncclTeamLsa __attribute__((weak, alias("pncclTeamLsa")));
extern decltype(pncclTeamRail) ncclTeamRail __attribute__((weak, alias("pncclTeamRail")));
extern decltype(pncclTeamCft) ncclTeamCft __attribute__((weak, alias("pncclTeamCft")));
extern decltype(pncclTeamCftMultimem) ncclTeamCftMultimem __attribute__((weak, alias("pncclTeamCftMultimem")));
extern decltype(pncclTeamRankToWorld) ncclTeamRankToWorld __attribute__((weak, alias("pncclTeamRankToWorld")));
extern decltype(pncclTeamRankToLsa) ncclTeamRankToLsa __attribute__((weak, alias("pncclTeamRankToLsa")));
extern decltype(pncclLsaBarrierCreateRequirement) ncclLsaBarrierCreateRequirement
    __attribute__((weak, alias("pncclLsaBarrierCreateRequirement")));
extern decltype(pncclGinBarrierCreateRequirement) ncclGinBarrierCreateRequirement
    __attribute__((weak, alias("pncclGinBarrierCreateRequirement")));
extern decltype(pncclGinOutboxCreateRequirement) ncclGinOutboxCreateRequirement
    __attribute__((weak, alias("pncclGinOutboxCreateRequirement")));
extern decltype(pncclGinInboxA2ACreateRequirement) ncclGinInboxA2ACreateRequirement
    __attribute__((weak, alias("pncclGinInboxA2ACreateRequirement")));
extern decltype(pncclLLA2ACalcSlots) ncclLLA2ACalcSlots __attribute__((weak, alias("pncclLLA2ACalcSlots")));
extern decltype(pncclLLA2ACreateRequirement) ncclLLA2ACreateRequirement
    __attribute__((weak, alias("pncclLLA2ACreateRequirement")));

}  // extern "C"
