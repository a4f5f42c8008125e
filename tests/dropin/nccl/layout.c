/* Prints sizes, offsets and values of nccl.h, whoever wrote it. */
#include <nccl.h>
#include <stddef.h>
#include <stdio.h>

#define SIZE(type) printf("sizeof %s %zu\n", #type, sizeof(type))
#define AT(type, field) printf("%s.%s %zu %zu\n", #type, #field, offsetof(type, field), sizeof(((type*)0)->field))
#define VALUE(name) printf("%s %lld\n", #name, (long long)(name))

int main(void) {
  SIZE(ncclComm_t);
  SIZE(ncclWindow_t);
  SIZE(ncclUniqueId);
  SIZE(ncclResult_t);
  SIZE(ncclDataType_t);
  SIZE(ncclRedOp_t);
  SIZE(ncclScalarResidence_t);
  SIZE(ncclCommMemStat_t);
  SIZE(ncclParamHandle_t);
  SIZE(ncclConfig_t);
  AT(ncclConfig_t, size);
  AT(ncclConfig_t, magic);
  AT(ncclConfig_t, version);
  AT(ncclConfig_t, blocking);
  AT(ncclConfig_t, cgaClusterSize);
  AT(ncclConfig_t, minCTAs);
  AT(ncclConfig_t, maxCTAs);
  AT(ncclConfig_t, netName);
  AT(ncclConfig_t, splitShare);
  AT(ncclConfig_t, trafficClass);
  AT(ncclConfig_t, commName);
  AT(ncclConfig_t, collnetEnable);
  AT(ncclConfig_t, CTAPolicy);
  AT(ncclConfig_t, shrinkShare);
  AT(ncclConfig_t, nvlsCTAs);
  AT(ncclConfig_t, nChannelsPerNetPeer);
  AT(ncclConfig_t, nvlinkCentricSched);
  AT(ncclConfig_t, graphUsageMode);
  AT(ncclConfig_t, numRmaCtx);
  AT(ncclConfig_t, maxP2pPeers);
  AT(ncclConfig_t, graphStreamOrdering);
  SIZE(ncclSimInfo_t);
  AT(ncclSimInfo_t, estimatedTime);
  SIZE(ncclWaitSignalDesc_t);
  AT(ncclWaitSignalDesc_t, opCnt);
  AT(ncclWaitSignalDesc_t, peer);
  AT(ncclWaitSignalDesc_t, sigIdx);
  AT(ncclWaitSignalDesc_t, ctx);
  VALUE(ncclSuccess);
  VALUE(ncclUnhandledCudaError);
  VALUE(ncclSystemError);
  VALUE(ncclInternalError);
  VALUE(ncclInvalidArgument);
  VALUE(ncclInvalidUsage);
  VALUE(ncclRemoteError);
  VALUE(ncclInProgress);
  VALUE(ncclTimeout);
  VALUE(ncclNumResults);
  VALUE(ncclInt8);
  VALUE(ncclChar);
  VALUE(ncclUint8);
  VALUE(ncclInt32);
  VALUE(ncclInt);
  VALUE(ncclUint32);
  VALUE(ncclInt64);
  VALUE(ncclUint64);
  VALUE(ncclFloat16);
  VALUE(ncclHalf);
  VALUE(ncclFloat32);
  VALUE(ncclFloat);
  VALUE(ncclFloat64);
  VALUE(ncclDouble);
  VALUE(ncclBfloat16);
  VALUE(ncclFloat8e4m3);
  VALUE(ncclFloat8e5m2);
  VALUE(ncclNumTypes);
  VALUE(ncclSum);
  VALUE(ncclProd);
  VALUE(ncclMax);
  VALUE(ncclMin);
  VALUE(ncclAvg);
  VALUE(ncclNumOps);
  VALUE(ncclMaxRedOp);
  VALUE(ncclScalarDevice);
  VALUE(ncclScalarHostImmediate);
  VALUE(ncclStatGpuMemSuspend);
  VALUE(ncclStatGpuMemSuspended);
  VALUE(ncclStatGpuMemPersist);
  VALUE(ncclStatGpuMemTotal);
  VALUE(NCCL_UNIQUE_ID_BYTES);
  VALUE(NCCL_MAJOR);
  VALUE(NCCL_MINOR);
  VALUE(NCCL_PATCH);
  VALUE(NCCL_VERSION_CODE);
  VALUE(NCCL_VERSION(2, 8, 3));
  VALUE(NCCL_VERSION(2, 30, 7));
  VALUE(NCCL_CONFIG_UNDEF_INT);
  VALUE(NCCL_API_MAGIC);
  VALUE(NCCL_SPLIT_NOCOLOR);
  VALUE(NCCL_WIN_DEFAULT);
  VALUE(NCCL_WIN_COLL_SYMMETRIC);
  VALUE(NCCL_WIN_STRICT_ORDERING);
  VALUE(NCCL_WIN_REQUIRED_ALIGNMENT);
  VALUE(NCCL_CTA_POLICY_DEFAULT);
  VALUE(NCCL_CTA_POLICY_EFFICIENCY);
  VALUE(NCCL_CTA_POLICY_ZERO);
  VALUE(NCCL_SHRINK_DEFAULT);
  VALUE(NCCL_SHRINK_ABORT);
  VALUE(NCCL_REVOKE_DEFAULT);
  VALUE(NCCL_SUSPEND_MEM);
  printf("NCCL_SUFFIX '%s'\nNCCL_UNDEF_FLOAT %g\n", NCCL_SUFFIX, (double)NCCL_UNDEF_FLOAT);
  const ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  const ncclSimInfo_t info = NCCL_SIM_INFO_INITIALIZER;
  for (size_t i = 0; i < sizeof config; ++i) printf("%02x", ((const unsigned char*)&config)[i]);
  printf(" ncclConfig_t\n%zu %x %u %g ncclSimInfo_t\n", info.size, info.magic, info.version, (double)info.estimatedTime);
  return 0;
}
