/* What NCCL's interface promises beyond the values. See world.h. */
#include <stdatomic.h>

#include "numbers.h"
#include "world.h"

static int left_of(const struct world* w) { return (w->first + w->ranks - 1) % w->ranks; }
static int right_of(const struct world* w) { return (w->first + 1) % w->ranks; }
static int total(const struct world* w) { return w->ranks * (w->ranks + 1) / 2; }

/* It works: the sum over all ranks of rank + 1. */
static void works(ncclComm_t comm) {
  int rank = -1, ranks = 0, sum = -1;
  OK(ncclCommUserRank(comm, &rank));
  OK(ncclCommCount(comm, &ranks));
  const int mine = rank + 1;
  OK(ncclAllReduce(&mine, &sum, 1, ncclInt, ncclSum, comm, NULL));
  CHECK(sum == ranks * (ranks + 1) / 2);
}

static void* nothing(void* of) { return of; }
static int threads_of_process(void) {
  pthread_t first;
  pthread_create(&first, NULL, nothing, NULL); /* with which sanitizers start one of their own */
  pthread_join(first, NULL);
  int threads = 0;
  char line[200];
  FILE* file = fopen("/proc/self/status", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "Threads: %d", &threads) == 1) break;
  if (file != NULL) fclose(file);
  return threads;
}

static void info(struct world* w) {
  (void)w;
  int version = 0, n = 0;
  ncclResult_t error = ncclSuccess;
  uint64_t bytes = 0;
  OK(ncclGetVersion(&version));
  CHECK(version == NCCL_VERSION_CODE && version == 23007);
  CHECK(strcmp(ncclGetLastError(NULL), "") == 0);
  FAILS(ncclGetVersion(NULL), ncclInvalidArgument, "version is NULL");
  setenv("TUTTI_NCCL_VERSION", "22809", 1);
  OK(ncclGetVersion(&version));
  CHECK(version == 22809);
  setenv("TUTTI_NCCL_VERSION", "2.28.9", 1);
  FAILS(ncclGetVersion(&version), ncclInvalidUsage, "TUTTI_NCCL_VERSION=\"2.28.9\" is not a whole number from 20900 to 29999");
  unsetenv("TUTTI_NCCL_VERSION");
  CHECK(strcmp(ncclGetErrorString(ncclSuccess), "no error") == 0);
  CHECK(strcmp(ncclGetErrorString(ncclInvalidArgument), "invalid argument (run with NCCL_DEBUG=WARN for details)") == 0);
  CHECK(strcmp(ncclGetErrorString(ncclTimeout), "timeout") == 0);
  CHECK(strcmp(ncclGetErrorString((ncclResult_t)9), "unknown result code") == 0);
  CHECK(strcmp(ncclGetErrorString((ncclResult_t)-1), "unknown result code") == 0);
  OK(ncclCommFinalize(NULL));
  OK(ncclCommDestroy(NULL));
  OK(ncclCommAbort(NULL));
  OK(ncclCommRevoke(NULL, 0));
  FAILS(ncclCommCount(NULL, &n), ncclInvalidArgument, "ncclCommCount: the communicator is NULL");
  CHECK(ncclCommGetAsyncError(NULL, &error) == ncclInvalidArgument);
  CHECK(ncclCommSuspend(NULL, 0) == ncclInvalidArgument);
  CHECK(ncclCommMemStats(NULL, ncclStatGpuMemTotal, &bytes) == ncclInvalidArgument);
  FAILS(ncclCommCount((ncclComm_t)&n, &n), ncclInvalidArgument, "is no communicator");
  FAILS(ncclGroupEnd(), ncclInvalidUsage, "no ncclGroupStart");
  FAILS(ncclGroupSimulateEnd(NULL), ncclInvalidUsage, "no ncclGroupStart");
  CHECK(pncclGetVersion(&version) == ncclSuccess);
}

static void init_arguments(struct world* w) {
  (void)w;
  ncclUniqueId id, empty = {{0}};
  ncclComm_t comm = (ncclComm_t)&id;
  FAILS(ncclGetUniqueId(NULL), ncclInvalidArgument, "uniqueId is NULL");
  OK(ncclGetUniqueId(&id));
  FAILS(ncclCommInitRank(NULL, 1, id, 0), ncclInvalidArgument, "comm is NULL");
  FAILS(ncclCommInitRank(&comm, 0, id, 0), ncclInvalidArgument, "0 ranks");
  CHECK(comm == NULL);
  FAILS(ncclCommInitRank(&comm, 2, id, 2), ncclInvalidArgument, "rank 2, expected 0 to 1");
  FAILS(ncclCommInitRank(&comm, 2, id, -1), ncclInvalidArgument, "rank -1");
  FAILS(ncclCommInitRank(&comm, 1, empty, 0), ncclInvalidArgument, "no unique id");
  CHECK(comm == NULL);
  FAILS(ncclCommInitRankScalable(&comm, 1, 0, 0, &id, NULL), ncclInvalidArgument, "0 ids");
  FAILS(ncclCommInitRankScalable(&comm, 1, 0, 2, &id, NULL), ncclInvalidArgument, "2 ids");
  FAILS(ncclCommInitRankScalable(&comm, 1, 0, 1, NULL, NULL), ncclInvalidArgument, "commIds is NULL");
  FAILS(ncclCommInitAll(NULL, 1, NULL), ncclInvalidArgument, "comm is NULL");
  FAILS(ncclCommInitAll(&comm, 0, NULL), ncclInvalidArgument, "0 devices");
  FAILS(ncclCommInitAll(&comm, 1, (int[]){-2}), ncclInvalidArgument, "device -2");
  OK(ncclGroupStart()); /* what is wrong with one is wrong with all */
  CHECK(ncclCommInitRank(&comm, 1, id, 5) == ncclInvalidArgument);
  CHECK(ncclGroupEnd() == ncclInvalidArgument);
  setenv("NCCL_COMM_ID", "4711", 1);
  FAILS(ncclGetUniqueId(&id), ncclInvalidArgument, "NCCL_COMM_ID");
}

/* NCCL_COMM_ID says where rank 0 waits for the others: everybody makes the id by itself. Ranks of one thread, or processes. */
static void fixed_id(struct world* w) {
  char at[40];
  ncclUniqueId id, again;
  ncclComm_t comms[kMostRanks];
  sprintf(at, "127.0.0.1:%d", 20000 + (unsigned char)world_id.internal[126] * 32 + (unsigned char)world_id.internal[127] % 32);
  setenv("NCCL_COMM_ID", at, 1);
  for (int round = 0; round < 3; ++round) {
    OK(ncclGetUniqueId(&id));
    OK(ncclGetUniqueId(&again));
    CHECK(memcmp(&id, &again, sizeof id) == 0);
    OK(ncclGroupStart());
    for (int i = 0; i < w->locals; ++i) OK(ncclCommInitRank(&comms[i], w->ranks, id, w->first + i));
    OK(ncclGroupEnd());
    OK(ncclGroupStart());
    int ones[kMostRanks], sums[kMostRanks];
    for (int i = 0; i < w->locals; ++i) {
      ones[i] = w->first + i + 1;
      OK(ncclAllReduce(&ones[i], &sums[i], 1, ncclInt, ncclSum, comms[i], NULL));
    }
    OK(ncclGroupEnd());
    for (int i = 0; i < w->locals; ++i) {
      CHECK(sums[i] == total(w));
      OK(ncclCommDestroy(comms[i]));
    }
  }
}

static void arguments(struct world* w) {
  ncclComm_t comm = w->comms[0], other = NULL;
  float in[64] = {0}, out[64] = {0};
  int stream = 0;
  void* handle = &stream;
  const int bad_root = w->ranks;
  FAILS(ncclAllReduce(in, out, 4, (ncclDataType_t)12, ncclSum, comm, NULL), ncclInvalidArgument, "data type 12 does not exist");
  FAILS(ncclAllReduce(in, out, 4, (ncclDataType_t)-1, ncclSum, comm, NULL), ncclInvalidArgument, "data type -1");
  FAILS(ncclAllReduce(in, out, 4, ncclFloat, ncclNumOps, comm, NULL), ncclInvalidArgument, "operator 5");
  FAILS(ncclAllReduce(in, out, 4, ncclFloat, (ncclRedOp_t)-3, comm, NULL), ncclInvalidArgument, "operator -3");
  FAILS(ncclAllReduce(NULL, out, 4, ncclFloat, ncclSum, comm, NULL), ncclInvalidArgument, "input is null");
  FAILS(ncclAllReduce(in, NULL, 4, ncclFloat, ncclSum, comm, NULL), ncclInvalidArgument, "output is null");
  FAILS(ncclAllReduce(in, in + 1, 4, ncclFloat, ncclSum, comm, NULL), ncclInvalidArgument, "overlap");
  FAILS(ncclAllReduce(in, out, (size_t)-1, ncclFloat, ncclSum, comm, NULL), ncclInvalidArgument, "more than memory can hold");
  FAILS(ncclAllReduce(in, out, 4, ncclFloat, ncclSum, NULL, NULL), ncclInvalidArgument,
        "ncclAllReduce: the communicator is NULL");
  FAILS(ncclAllReduce(in, out, 4, ncclFloat, ncclSum, comm, (cudaStream_t)&stream), ncclInvalidArgument,
        "is not NULL; without CUDA");
  FAILS(ncclBroadcast(in, out, 4, ncclFloat, bad_root, comm, NULL), ncclInvalidArgument, "root");
  FAILS(ncclReduce(in, out, 4, ncclFloat, ncclSum, -1, comm, NULL), ncclInvalidArgument, "root -1");
  FAILS(ncclGather(in, out, 4, ncclFloat, bad_root, comm, NULL), ncclInvalidArgument, "root");
  FAILS(ncclScatter(in, out, 4, ncclFloat, bad_root, comm, NULL), ncclInvalidArgument, "root");
  FAILS(ncclSend(in, 4, ncclFloat, bad_root, comm, NULL), ncclInvalidArgument, "destination");
  FAILS(ncclRecv(in, 4, ncclFloat, -1, comm, NULL), ncclInvalidArgument, "peer -1");
  FAILS(ncclSend(in, 4, ncclFloat, w->first, comm, NULL), ncclInvalidUsage, "names itself");
  FAILS(ncclCommCount(comm, NULL), ncclInvalidArgument, "NULL");
  FAILS(ncclCommGetAsyncError(comm, NULL), ncclInvalidArgument, "NULL");
  FAILS(ncclCommSplit(comm, -2, 0, &other, NULL), ncclInvalidArgument, "color -2");
  FAILS(ncclCommSplit(comm, 0, 0, NULL, NULL), ncclInvalidArgument, "newcomm is NULL");
  FAILS(ncclCommRevoke(comm, 1), ncclInvalidArgument, "flags are 1");
  FAILS(ncclCommRegister(comm, in, 0, &handle), ncclInvalidArgument, "0 bytes");
  FAILS(ncclCommDeregister(comm, in), ncclInvalidArgument, "no handle");
  FAILS(ncclCommMemStats(comm, (ncclCommMemStat_t)9, (uint64_t*)in), ncclInvalidArgument, "statistic 9");
  FAILS(ncclCommSuspend(comm, 6), ncclInvalidArgument, "flags are 6");
  FAILS(ncclCommResume(comm), ncclInvalidUsage, "not suspended");
  FAILS(ncclMemFree(in), ncclInvalidArgument, "no memory of ncclMemAlloc");
  OK(ncclGroupStart()); /* nothing of a group is done when one call is wrong */
  OK(ncclAllReduce(in, out, 4, ncclFloat, ncclSum, comm, NULL));
  CHECK(ncclAllReduce(in, out, 4, (ncclDataType_t)99, ncclSum, comm, NULL) == ncclInvalidArgument);
  CHECK(ncclGroupEnd() == ncclInvalidArgument);
  OK(ncclGroupStart());
  OK(ncclSend(in, 4, ncclFloat, w->first, comm, NULL));
  FAILS(ncclGroupEnd(), ncclInvalidUsage, "the other side");
  OK(ncclGroupStart());
  CHECK(ncclBroadcast(in, out, 4, ncclFloat, bad_root, comm, NULL) == ncclInvalidArgument);
  CHECK(ncclGroupEnd() == ncclInvalidArgument);
  OK(ncclGroupStart());
  OK(ncclGroupEnd()); /* nothing in it */
  ncclResult_t state = ncclInternalError;
  OK(ncclCommGetAsyncError(comm, &state));
  CHECK(state == ncclSuccess);
  works(comm);
}

static void point_to_point(struct world* w) {
  ncclComm_t comm = w->comms[0];
  enum { kCount = 50000 };
  static __thread int out[kCount], in[kCount];
  for (int i = 0; i < kCount; ++i) out[i] = w->first * 1000 + i;
  for (int round = 0; round < 3; ++round) { /* a ring, which needs both sides at once */
    OK(ncclGroupStart());
    OK(ncclSend(out, kCount, ncclInt, right_of(w), comm, NULL));
    OK(ncclRecv(in, kCount, ncclInt, left_of(w), comm, NULL));
    OK(ncclGroupEnd());
    for (int i = 0; i < kCount; ++i) CHECK(in[i] == left_of(w) * 1000 + i);
  }
  if (w->first == 0 && w->ranks > 1) OK(ncclSend(out, 3, ncclInt, 1, comm, NULL)); /* one alone */
  if (w->first == 1) {
    OK(ncclRecv(in, 3, ncclInt, 0, comm, NULL));
    CHECK(in[2] == 2);
  }
  /* Everything to everybody, itself included, with several messages to each, some of them empty, in order; and a collective. */
  int got[kMostRanks][4][5], mine[kMostRanks][4][5], sum = 0;
  const int one = w->first + 1;
  memset(got, -1, sizeof got);
  OK(ncclGroupStart());
  for (int r = 0; r < w->ranks; ++r)
    for (int m = 0; m < 4; ++m) {
      for (int i = 0; i < 5; ++i) mine[r][m][i] = w->first * 10000 + r * 1000 + m * 100 + i;
      OK(ncclSend(mine[r][m], (size_t)m, ncclInt, r, comm, NULL));
    }
  OK(ncclAllReduce(&one, &sum, 1, ncclInt, ncclSum, comm, NULL));
  for (int r = 0; r < w->ranks; ++r)
    for (int m = 0; m < 4; ++m) OK(ncclRecv(got[r][m], (size_t)m, ncclInt, r, comm, NULL));
  OK(ncclGroupEnd());
  CHECK(sum == total(w));
  for (int r = 0; r < w->ranks; ++r)
    for (int m = 0; m < 4; ++m)
      for (int i = 0; i < 5; ++i) CHECK(got[r][m][i] == (i < m ? r * 10000 + w->first * 1000 + m * 100 + i : -1));
}

static void average(struct world* w) {
  /* Integers are divided towards zero; sums wrap. */
  const int mine = w->first == 0 ? -7 : 0;
  int got = 1;
  OK(ncclAllReduce(&mine, &got, 1, ncclInt, ncclAvg, w->comms[0], NULL));
  CHECK(got == -7 / w->ranks);
  const uint8_t large = 200;
  uint8_t wrapped = 0;
  OK(ncclAllReduce(&large, &wrapped, 1, ncclUint8, ncclAvg, w->comms[0], NULL));
  CHECK(wrapped == (uint8_t)(200 * w->ranks) / w->ranks);
}

static void premultiplied(struct world* w) {
  ncclComm_t comm = w->comms[0];
  char scalar[8], in[7 * 8], out[7 * 8];
  for (int type = 0; type < ncclNumTypes; ++type)
    for (int residence = 0; residence < 2; ++residence)
      for (int in_group = 0; in_group < 2; ++in_group) {
        ncclRedOp_t op;
        memset(scalar, 0, sizeof scalar);
        put(scalar, 0, type, residence == ncclScalarDevice ? 3 : w->first % 2 + 1); /* of each rank its own */
        OK(ncclRedOpCreatePreMulSum(&op, scalar, (ncclDataType_t)type, (ncclScalarResidence_t)residence, comm));
        CHECK(op >= ncclNumOps);
        if (residence == ncclScalarHostImmediate) memset(scalar, 0x11, sizeof scalar);          /* it was read */
        if (residence == ncclScalarDevice && !in_group) put(scalar, 0, type, w->first % 2 + 1); /* it has not been yet */
        double wanted = 0;
        for (int r = 0; r < w->ranks; ++r) wanted += (r % 2 + 1) * (r == 0 ? 1 : r % 2);
        for (size_t i = 0; i < 7; ++i) put(in, i, type, w->first == 0 ? 1 : w->first % 2);
        if (in_group) OK(ncclGroupStart());
        OK(ncclAllReduce(in, out, 7, (ncclDataType_t)type, op, comm, NULL));
        OK(ncclRedOpDestroy(op, comm)); /* allowed as soon as the call has returned */
        if (residence == ncclScalarDevice && in_group) put(scalar, 0, type, w->first % 2 + 1);
        if (in_group) OK(ncclGroupEnd());
        for (size_t i = 0; i < 7; ++i) CHECK(get(out, i, type) == wanted);
        FAILS(ncclAllReduce(in, out, 7, (ncclDataType_t)type, op, comm, NULL), ncclInvalidArgument, "operator");
        FAILS(ncclRedOpDestroy(op, comm), ncclInvalidArgument, "destroyed before");
      }
  float two = 2;
  int64_t huge = (1LL << 60) + 1;
  ncclRedOp_t op;
  OK(ncclRedOpCreatePreMulSum(&op, &two, ncclFloat, ncclScalarHostImmediate, comm));
  FAILS(ncclAllReduce(in, out, 1, ncclDouble, op, comm, NULL), ncclInvalidArgument, "was made for data type 7");
  ncclComm_t child = NULL;
  OK(ncclCommSplit(comm, 0, 0, &child, NULL));
  FAILS(ncclAllReduce(in, out, 1, ncclFloat, op, child, NULL), ncclInvalidArgument, "operator"); /* of another communicator */
  OK(ncclCommDestroy(child));
  OK(ncclRedOpDestroy(op, comm));
  FAILS(ncclRedOpDestroy(ncclSum, comm), ncclInvalidArgument, "NCCL's own");
  const int64_t three = 3;
  int64_t product = 0;
  OK(ncclRedOpCreatePreMulSum(&op, &huge, ncclInt64, ncclScalarHostImmediate, comm));
  OK(ncclAllReduce(&three, &product, 1, ncclInt64, op, comm, NULL));
  CHECK((uint64_t)product == 3 * (uint64_t)huge * (uint64_t)w->ranks); /* in 64 bits, not in those of a double */
  OK(ncclRedOpDestroy(op, comm));
  FAILS(ncclRedOpCreatePreMulSum(&op, NULL, ncclInt64, ncclScalarHostImmediate, comm), ncclInvalidArgument, "scalar is NULL");
  FAILS(ncclRedOpCreatePreMulSum(&op, &two, (ncclDataType_t)12, ncclScalarHostImmediate, comm), ncclInvalidArgument,
        "data type 12");
  FAILS(ncclRedOpCreatePreMulSum(&op, &two, ncclFloat, (ncclScalarResidence_t)2, comm), ncclInvalidArgument, "residence 2");
  works(comm);
}

static void split(struct world* w) {
  ncclComm_t comm = w->comms[0], half = NULL, backwards = NULL, nobody = (ncclComm_t)w, grandchild = NULL;
  int rank = -1, count = -1;
  OK(ncclCommSplit(comm, w->first % 2, w->first, &half, NULL));
  OK(ncclCommUserRank(half, &rank));
  OK(ncclCommCount(half, &count));
  CHECK(rank == w->first / 2 && count == (w->ranks + 1 - w->first % 2) / 2);
  works(half);
  OK(ncclCommSplit(comm, 0, -w->first, &backwards, NULL));
  OK(ncclCommUserRank(backwards, &rank));
  CHECK(rank == w->ranks - 1 - w->first);
  works(backwards);
  OK(ncclCommSplit(comm, w->first == 0 ? NCCL_SPLIT_NOCOLOR : 7, 0, &nobody, NULL));
  CHECK((nobody == NULL) == (w->first == 0));
  if (nobody != NULL) works(nobody);
  OK(ncclCommDestroy(nobody));
  OK(ncclCommSplit(half, 0, 0, &grandchild, NULL));
  OK(ncclCommDestroy(half)); /* before its child */
  works(grandchild);
  OK(ncclCommDestroy(grandchild));
  OK(ncclCommDestroy(backwards));
  OK(ncclGroupStart()); /* two of one */
  OK(ncclCommSplit(comm, 0, 0, &half, NULL));
  OK(ncclCommSplit(comm, 0, -w->first, &backwards, NULL));
  CHECK(half == NULL && backwards == NULL);
  OK(ncclGroupEnd());
  works(half);
  works(backwards);
  OK(ncclCommDestroy(half));
  OK(ncclCommDestroy(backwards));
  works(comm);
}

static void shrink(struct world* w) {
  ncclComm_t comm = w->comms[0], rest = NULL;
  int rank = -1, count = -1, none[1] = {0}, beyond[1] = {w->ranks}, myself[1] = {w->first}, gone[1] = {1};
  FAILS(ncclCommShrink(comm, none, 0, &rest, NULL, 0), ncclInvalidArgument, "empty");
  FAILS(ncclCommShrink(comm, beyond, 1, &rest, NULL, 0), ncclInvalidArgument, "there are ranks 0 to");
  FAILS(ncclCommShrink(comm, myself, 1, &rest, NULL, 0), ncclInvalidArgument, "excludes itself");
  FAILS(ncclCommShrink(comm, none, 1, NULL, NULL, 0), ncclInvalidArgument, "newcomm is NULL");
  FAILS(ncclCommShrink(comm, none, 1, &rest, NULL, 2), ncclInvalidArgument, "flags are 2");
  if (w->ranks == 1) return;
  for (int flags = NCCL_SHRINK_DEFAULT; flags <= NCCL_SHRINK_ABORT; ++flags) {
    if (w->first != 1) {
      OK(ncclCommShrink(comm, gone, 1, &rest, NULL, flags)); /* those that remain, and nobody else */
      OK(ncclCommUserRank(rest, &rank));
      OK(ncclCommCount(rest, &count));
      CHECK(rank == (w->first > 1 ? w->first - 1 : 0) && count == w->ranks - 1);
      works(rest);
      OK(ncclCommDestroy(rest));
    }
    works(comm);
  }
}

static void scalable(struct world* w) {
  /* Of different processes, where ranks are such; rank 0's is made before. */
  ncclUniqueId ids[3] = {world_id};
  const int made = w->ranks < 3 ? w->ranks : 3;
  ncclComm_t comm = NULL;
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.commName = "scalable";
  const int threads = threads_of_process();
  for (int i = 1; i < made; ++i) {
    if (w->first == i) OK(ncclGetUniqueId(&ids[i]));
    share(w, i, &ids[i], sizeof ids[i]);
  }
  ids[made - 1].internal[50] ^= 1;
  FAILS(ncclCommInitRankScalable(&comm, w->ranks, w->first, made, ids, &config), ncclInvalidArgument, "damaged");
  ids[made - 1].internal[50] ^= 1;
  OK(ncclCommInitRankScalable(&comm, w->ranks, w->first, made, ids, &config));
  works(comm);
  OK(ncclCommDestroy(comm));
  while (alone_in_process(w) && threads_of_process() > threads) sleep_ms(1); /* no meeting place still waits */
}

/* An id is for one communicator. */
static void used_id(struct world* w) {
  ncclComm_t comm = NULL, again = NULL;
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  ncclResult_t state = ncclInProgress;
  if (w->ranks == 1) return;
  OK(ncclCommInitRank(&comm, w->ranks, world_id, w->first));
  FAILS(ncclCommInitRank(&again, w->ranks, world_id, w->first), ncclRemoteError, "used before");
  config.blocking = 0;
  CHECK(ncclCommInitRankConfig(&again, w->ranks, world_id, w->ranks - 1 - w->first, &config) == ncclInProgress);
  for (; state == ncclInProgress; sleep_ms(1)) OK(ncclCommGetAsyncError(again, &state));
  CHECK(state == ncclRemoteError);
  OK(ncclCommAbort(again));
  works(comm);
  OK(ncclCommDestroy(comm));
}

static void wait_for(ncclComm_t comm) {
  ncclResult_t state = ncclInProgress;
  while (state == ncclInProgress) {
    OK(ncclCommGetAsyncError(comm, &state));
    sleep_ms(1);
  }
  CHECK(state == ncclSuccess);
}

static void nonblocking(struct world* w) {
  ncclComm_t comm = NULL;
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  int count = 0;
  config.blocking = 0;
  if (w->first == 0) after_the_others(w, 0); /* they cannot be done before */
  CHECK(ncclCommInitRankConfig(&comm, w->ranks, world_id, w->first, &config) == ncclInProgress);
  CHECK(comm != NULL);
  if (w->first != 0) {
    FAILS(ncclCommCount(comm, &count), ncclInvalidArgument, "still busy");
    FAILS(ncclAllReduce(&count, &count, 1, ncclInt, ncclSum, comm, NULL), ncclInvalidArgument, "still busy");
    FAILS(ncclCommFinalize(comm), ncclInvalidArgument, "still busy");
    after_the_others(w, 0);
  }
  wait_for(comm);
  works(comm);
  ncclComm_t child = NULL;
  if (w->first == 0) after_the_others(w, 1);
  CHECK(ncclCommSplit(comm, 0, 0, &child, NULL) == ncclInProgress);
  if (w->first != 0) {
    CHECK(child == NULL);
    FAILS(ncclAllReduce(&count, &count, 1, ncclInt, ncclSum, comm, NULL), ncclInvalidArgument, "still busy");
    after_the_others(w, 1);
  }
  wait_for(comm);
  CHECK(child != NULL);
  works(child);
  CHECK(ncclCommSplit(comm, NCCL_SPLIT_NOCOLOR, 0, &child, NULL) == ncclInProgress);
  wait_for(comm);
  CHECK(child == NULL);
  const ncclResult_t ended = ncclCommFinalize(comm);
  CHECK(ended == ncclSuccess || ended == ncclInProgress);
  wait_for(comm);
  OK(ncclCommDestroy(comm));
}

/* One that is given up while it waits for ranks that never come: nothing goes on behind the back of whoever has. */
static void abort_init(struct world* w) {
  (void)w;
  ncclComm_t comm = NULL;
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  ncclResult_t state;
  config.blocking = 0;
  sleep_ms(50);
  const int before = threads_of_process();
  CHECK(ncclCommInitRankConfig(&comm, 2, world_id, 0, &config) == ncclInProgress);
  CHECK(threads_of_process() > before);
  sleep_ms(50);
  OK(ncclCommAbort(comm));
  CHECK(ncclCommGetAsyncError(comm, &state) == ncclInvalidArgument);
  while (threads_of_process() > before) sleep_ms(1);
}

/* Waited for by ranks of a job that is not complete, and not ended by anybody: the process ends all the same. */
static void leaves_init(struct world* w) {
  (void)w;
  ncclComm_t comm = NULL;
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  CHECK(ncclCommInitRankConfig(&comm, 2, world_id, 0, &config) == ncclInProgress);
  sleep_ms(50);
}

static void* abort_when_seen(void* of) {
  ncclComm_t* const comm = of;
  while (__atomic_load_n(comm, __ATOMIC_ACQUIRE) == NULL) sleep_ms(1);
  sleep_ms(50);
  OK(ncclCommAbort(*comm));
  return NULL;
}
/* The handle of a blocking one can be seen by another thread. */
static void abort_blocking_init(struct world* w) {
  (void)w;
  ncclComm_t comm = NULL;
  pthread_t thread;
  pthread_create(&thread, NULL, abort_when_seen, &comm);
  FAILS(ncclCommInitRank(&comm, 2, world_id, 0), ncclRemoteError, "given up");
  CHECK(comm == NULL);
  pthread_join(thread, NULL);
}

/* Rank 0 makes another of it, alone, until it gives up. */
static void abort_split(struct world* w) {
  ncclComm_t comm = NULL, part = NULL;
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  CHECK(ncclCommInitRankConfig(&comm, w->ranks, world_id, w->first, &config) == ncclInProgress);
  wait_for(comm);
  works(comm);
  if (w->first == 0) {
    CHECK(ncclCommSplit(comm, 0, 0, &part, NULL) == ncclInProgress);
    sleep_ms(50);
    OK(ncclCommAbort(comm));
    CHECK(part == NULL || w->ranks == 1);
  }
  after_rank_0(w, 3);
  if (w->first != 0) OK(ncclCommAbort(comm));
}

static void ends(struct world* w) {
  ncclComm_t comm = NULL, other = NULL;
  int data = 1;
  OK(ncclCommInitRank(&comm, w->ranks, world_id, w->first));
  works(comm);
  OK(ncclCommSplit(comm, 0, 0, &other, NULL));
  OK(ncclCommFinalize(comm));
  FAILS(ncclCommFinalize(comm), ncclInvalidArgument, "finalized before");
  FAILS(ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, comm, NULL), ncclInvalidUsage, "finalized");
  FAILS(ncclCommRevoke(comm, 0), ncclInvalidArgument, "finalized");
  OK(ncclCommDestroy(comm));
  FAILS(ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, comm, NULL), ncclInvalidArgument, "was destroyed or aborted before");
  FAILS(ncclCommDestroy(comm), ncclInvalidArgument, "destroyed");
  FAILS(ncclCommAbort(comm), ncclInvalidArgument, "destroyed");

  OK(ncclCommSuspend(other, NCCL_SUSPEND_MEM));
  uint64_t value = 0;
  OK(ncclCommMemStats(other, ncclStatGpuMemSuspended, &value));
  CHECK(value == 1);
  FAILS(ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, other, NULL), ncclInvalidUsage, "suspended");
  OK(ncclCommResume(other));
  works(other);
  OK(ncclCommMemStats(other, ncclStatGpuMemTotal, &value));
  CHECK(value == 0);

  OK(ncclCommRevoke(other, NCCL_REVOKE_DEFAULT)); /* afterwards only others can be made of it */
  FAILS(ncclCommRevoke(other, 0), ncclInvalidArgument, "revoked before");
  FAILS(ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, other, NULL), ncclInvalidUsage, "revoked");
  FAILS(ncclCommFinalize(other), ncclInvalidUsage, "revoked");
  ncclComm_t fresh = NULL;
  OK(ncclCommSplit(other, 0, 0, &fresh, NULL));
  works(fresh);
  OK(ncclCommAbort(other));
  OK(ncclCommDestroy(fresh));
}

struct watch {
  ncclComm_t comm;
  int end; /* 0 abort, 1 revoke */
  atomic_int begun;
};
static void* end_from_outside(void* of) {
  struct watch* watch = of;
  ncclResult_t state = ncclInternalError;
  int data = 1;
  while (!atomic_load(&watch->begun)) sleep_ms(1);
  sleep_ms(500);
  OK(ncclCommGetAsyncError(watch->comm, &state)); /* while another thread waits in a call */
  CHECK(state == ncclSuccess);
  FAILS(ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, watch->comm, NULL), ncclInvalidUsage, "another thread");
  if (watch->end == 0)
    OK(ncclCommAbort(watch->comm));
  else
    OK(ncclCommRevoke(watch->comm, 0));
  return NULL;
}
/* Rank 0 waits for ranks that do not come, until another thread ends it. */
static void end_waiting(struct world* w, int end) {
  ncclComm_t comm = w->comms[0];
  int data = 1;
  if (w->ranks == 1) return;
  if (w->first == 0) {
    pthread_t thread;
    struct watch watch = {.comm = comm, .end = end};
    pthread_create(&thread, NULL, end_from_outside, &watch);
    const double start = seconds();
    atomic_store(&watch.begun, 1);
    CHECK(ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, comm, NULL) == ncclRemoteError);
    CHECK(seconds() - start < 20);
    pthread_join(thread, NULL);
    after_rank_0(w, 2);
    return;
  }
  /* The others hear of it when they wait themselves, if not for what rank 0 has sent before. */
  after_rank_0(w, 2);
  ncclResult_t result = ncclSuccess;
  for (int i = 0; i < 2 && result == ncclSuccess; ++i) result = ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, comm, NULL);
  CHECK(result == ncclRemoteError);
  ncclResult_t state = ncclSuccess;
  OK(ncclCommGetAsyncError(comm, &state));
  CHECK(state == ncclRemoteError);
  FAILS(ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, comm, NULL), ncclRemoteError, "has failed");
}
static void abort_waiting(struct world* w) {
  make_comms(w);
  end_waiting(w, 0);
  if (w->first != 0 || w->ranks == 1) OK(ncclCommAbort(w->comms[0]));
}
static void revoke_waiting(struct world* w) {
  make_comms(w);
  end_waiting(w, 1);
  ncclComm_t comm = w->comms[0], fresh = NULL, again = NULL, rest = NULL;
  ncclResult_t state = ncclInternalError;
  int data = 1, last[1] = {w->ranks - 1};
  if (w->first != 0 || w->ranks == 1) OK(ncclCommRevoke(comm, 0));
  OK(ncclCommGetAsyncError(comm, &state));
  CHECK(state == ncclSuccess);
  FAILS(ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, comm, NULL), ncclInvalidUsage, "revoked");
  OK(ncclCommSplit(comm, 0, 0, &fresh, NULL)); /* others can be made of it still */
  works(fresh);
  OK(ncclCommSplit(comm, 0, -w->first, &again, NULL));
  works(again);
  if (w->ranks > 1 && w->first != w->ranks - 1) {
    OK(ncclCommShrink(comm, last, 1, &rest, NULL, NCCL_SHRINK_DEFAULT));
    works(rest);
    OK(ncclCommDestroy(rest));
  }
  OK(ncclCommAbort(comm));
  works(fresh);
  OK(ncclCommDestroy(fresh));
  OK(ncclCommDestroy(again));
}

/* Every other one goes: the rest are found, and what has gone is known. */
static void many(struct world* w) {
  enum { kMany = 40 };
  (void)w;
  ncclComm_t comms[kMany];
  int data = 1;
  for (int i = 0; i < kMany; ++i) {
    ncclUniqueId id;
    OK(ncclGetUniqueId(&id));
    OK(ncclCommInitRank(&comms[i], 1, id, 0));
  }
  for (int i = 0; i < kMany; i += 2) OK(ncclCommDestroy(comms[i]));
  for (int i = 0; i < kMany; i += 2) {
    works(comms[i + 1]);
    FAILS(ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, comms[i], NULL), ncclInvalidArgument, "destroyed or aborted before");
  }
  ncclComm_t beside = (ncclComm_t)((char*)comms[1] + 1), beyond = (ncclComm_t)((char*)NULL + ((size_t)1 << 40));
  FAILS(ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, beside, NULL), ncclInvalidArgument, "is no communicator");
  FAILS(ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, beyond, NULL), ncclInvalidArgument, "is no communicator");
  for (int i = 1; i < kMany; i += 2) OK(ncclCommDestroy(comms[i]));
}

static atomic_int about_to_wait;
static void* destroy_from_outside(void* of) {
  const struct world* w = of;
  int data = 1;
  while (!about_to_wait) sleep_ms(1);
  sleep_ms(300);
  OK(ncclCommDestroy(w->comms[0]));
  FAILS(ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, w->comms[0], NULL), ncclInvalidArgument, "destroyed or aborted before");
  after_rank_0(w, 3);
  return NULL;
}
/* A call that is under way does not lose its communicator with the handle. */
static void destroy_waiting(struct world* w) {
  make_comms(w);
  pthread_t thread;
  const int mine = w->first + 1;
  int sum = 0;
  if (w->first == 0)
    pthread_create(&thread, NULL, destroy_from_outside, w);
  else
    after_rank_0(w, 3);
  if (w->first == 0) about_to_wait = 1;
  if (w->ranks > 1) OK(ncclAllReduce(&mine, &sum, 1, ncclInt, ncclSum, w->comms[0], NULL));
  CHECK(w->ranks == 1 || sum == total(w));
  if (w->first == 0)
    pthread_join(thread, NULL);
  else
    OK(ncclCommDestroy(w->comms[0]));
}

/* Ranks that disagree all learn it, soon. */
static void mismatches(struct world* w) {
  if (w->ranks == 1) return;
  for (int kind = 0; kind < 5; ++kind) {
    ncclComm_t comm = NULL;
    int in[64] = {0}, out[64 * kMostRanks];
    const int odd = w->first == w->ranks - 1;
    OK(ncclCommSplit(w->comms[0], 0, 0, &comm, NULL));
    ncclResult_t result = ncclSuccess;
    const double start = seconds();
    switch (kind) {
      case 0:
        result = ncclAllReduce(in, out, odd ? 8 : 4, ncclInt, ncclSum, comm, NULL);
        break;
      case 1:
        result = ncclAllReduce(in, out, 4, odd ? ncclFloat : ncclInt, ncclSum, comm, NULL);
        break;
      case 2:
        result = ncclAllReduce(in, out, 4, ncclInt, odd ? ncclMax : ncclSum, comm, NULL);
        break;
      case 3:
        result = odd ? ncclAllGather(in, out, 4, ncclInt, comm, NULL) : ncclAllReduce(in, out, 4, ncclInt, ncclSum, comm, NULL);
        break;
      default:
        result = ncclBroadcast(in, out, 4, ncclInt, odd, comm, NULL); /* both may be done with sending, and learn it afterwards */
        if (result == ncclSuccess) result = ncclAllReduce(in, out, 4, ncclInt, ncclSum, comm, NULL);
    }
    CHECK(result == ncclInvalidUsage || result == ncclRemoteError);
    CHECK(strlen(ncclGetLastError(comm)) > 20);
    CHECK(seconds() - start < 30);
    ncclResult_t state = ncclSuccess;
    OK(ncclCommGetAsyncError(comm, &state));
    CHECK(state == result);
    OK(ncclCommAbort(comm));
  }
  works(w->comms[0]);
}

/* The last rank dies; the others wait in a collective, in a group of point-to-point calls, and in a call that comes later. */
static void killed(struct world* w) {
  ncclComm_t comm = NULL;
  int data = 1, in = 0;
  OK(ncclCommInitRank(&comm, w->ranks, world_id, w->first));
  works(comm);
  if (w->first == w->ranks - 1) {
    sleep_ms(200);
    kill(getpid(), SIGKILL);
  }
  const double start = seconds();
  if (w->first == 0) {
    CHECK(ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, comm, NULL) == ncclRemoteError);
  } else if (w->first == 1) {
    OK(ncclGroupStart());
    OK(ncclSend(&data, 1, ncclInt, w->ranks - 1, comm, NULL));
    OK(ncclRecv(&in, 1, ncclInt, w->ranks - 1, comm, NULL));
    CHECK(ncclGroupEnd() == ncclRemoteError);
  } else {
    sleep_ms(1000);
    CHECK(ncclAllReduce(&data, &data, 1, ncclInt, ncclSum, comm, NULL) == ncclRemoteError);
  }
  CHECK(seconds() - start < 20);
  ncclResult_t state = ncclSuccess;
  OK(ncclCommGetAsyncError(comm, &state));
  CHECK(state == ncclRemoteError);
  /* Those that are left go on without it. */
  ncclComm_t rest = NULL;
  int gone[1] = {w->ranks - 1}, count = 0;
  FAILS(ncclCommShrink(comm, gone, 1, &rest, NULL, NCCL_SHRINK_DEFAULT), ncclRemoteError, "has failed");
  FAILS(ncclCommSplit(comm, 0, 0, &rest, NULL), ncclRemoteError, "has failed");
  OK(ncclCommShrink(comm, gone, 1, &rest, NULL, NCCL_SHRINK_ABORT));
  OK(ncclCommCount(rest, &count));
  CHECK(count == w->ranks - 1);
  works(rest);
  OK(ncclCommDestroy(rest));
  FAILS(ncclCommShrink(comm, gone, 1, &rest, NULL, NCCL_SHRINK_ABORT), ncclInvalidUsage, "no place to meet");
  OK(ncclCommGetAsyncError(comm, &state));
  CHECK(state == ncclRemoteError);
  OK(ncclCommAbort(comm));
}

static void memory(struct world* w) {
  ncclComm_t comm = w->comms[0];
  enum { kCount = 100000 };
  float *in = NULL, *out = NULL;
  void *handle = w, *pointer = w;
  ncclWindow_t window = (ncclWindow_t)w;
  OK(ncclGroupStart());
  OK(ncclMemAlloc((void**)&in, kCount * sizeof *in));
  OK(ncclMemAlloc((void**)&out, kCount * sizeof *out));
  OK(ncclGroupEnd());
  CHECK(in != NULL && out != NULL);
  OK(ncclCommRegister(comm, in, kCount * sizeof *in, &handle));
  for (int i = 0; i < kCount; ++i) in[i] = (float)(i % 100);
  OK(ncclAllReduce(in, out, kCount, ncclFloat, ncclSum, comm, NULL));
  for (int i = 0; i < kCount; ++i) CHECK(out[i] == (float)(i % 100 * w->ranks));
  OK(ncclCommDeregister(comm, handle));
  OK(ncclCommWindowRegister(comm, in, kCount * sizeof *in, &window, NCCL_WIN_COLL_SYMMETRIC));
  CHECK(window == NULL); /* there are none */
  OK(ncclWinGetUserPtr(comm, window, &pointer));
  CHECK(pointer == NULL);
  OK(ncclCommWindowDeregister(comm, window));
  FAILS(ncclPutSignal(in, 1, ncclFloat, 0, window, 0, 0, 0, 0, comm, NULL), ncclInvalidArgument, "one-sided");
  FAILS(ncclSignal(0, 0, 0, 0, comm, NULL), ncclInvalidArgument, "one-sided");
  FAILS(ncclWaitSignal(0, NULL, comm, NULL), ncclInvalidArgument, "one-sided");
  OK(ncclMemFree(in));
  OK(ncclMemFree(out));
  OK(ncclMemFree(NULL));
  OK(ncclMemAlloc(&pointer, 0));
  CHECK(pointer == NULL);
  FAILS(ncclMemAlloc(NULL, 8), ncclInvalidArgument, "ptr is NULL");
  CHECK(ncclMemAlloc(&pointer, (size_t)1 << 62) == ncclSystemError);
}

static void simulated(struct world* w) {
  ncclSimInfo_t info = NCCL_SIM_INFO_INITIALIZER, bad = {0};
  int in[100] = {0}, out[100] = {0};
  void* allocated = NULL; /* a device's, where there is a driver */
  OK(ncclMemAlloc(&allocated, sizeof in));
  for (int kind = 0; kind < 2; ++kind) {
    OK(ncclGroupStart());
    OK(ncclAllReduce(kind ? allocated : in, kind ? allocated : out, 100, ncclInt, ncclSum, w->comms[0], NULL));
    OK(ncclGroupSimulateEnd(&info));
    CHECK(w->ranks == 1 || kind == 1 || info.estimatedTime > 0); /* what the host does for devices has no price */
  }
  OK(ncclMemFree(allocated));
  OK(ncclGroupStart());
  CHECK(ncclGroupSimulateEnd(&bad) == ncclInvalidArgument);
  works(w->comms[0]); /* nothing was sent */
}

static void call_configs(struct world* w) {
  ncclComm_t comm = w->comms[0];
  ncclCollConfig_t config = NCCL_COLLCONFIG_INITIALIZER, bad = NCCL_COLLCONFIG_INITIALIZER;
  const int mine = w->first + 1;
  int sum = 0, all[kMostRanks];
  OK(ncclAllReduceConfig(&mine, &sum, 1, ncclInt, ncclSum, comm, NULL, NULL));
  CHECK(sum == total(w));
  OK(ncclAllGatherConfig(&mine, all, 1, ncclInt, comm, NULL, &config));
  CHECK(all[w->ranks - 1] == w->ranks);
  bad.magic = 1;
  FAILS(ncclAllReduceConfig(&mine, &sum, 1, ncclInt, ncclSum, comm, NULL, &bad), ncclInvalidArgument, "magic is 0x1");
  config.algSelection = "ring";
  FAILS(ncclAllReduceConfig(&mine, &sum, 1, ncclInt, ncclSum, comm, NULL, &config), ncclInvalidArgument, "algSelection 'ring'");
  config.forceAlgSelection = 0;
  OK(ncclAllReduceConfig(&mine, &sum, 1, ncclInt, ncclSum, comm, NULL, &config));
}

/* Two ranks grow to all. */
static void grow(struct world* w) {
  if (w->ranks < 3) return;
  ncclUniqueId id;
  ncclComm_t comm = NULL, grown = NULL;
  int rank = -1;
  if (w->first < 2) {
    OK(ncclCommInitRank(&comm, 2, world_id, w->first));
    FAILS(ncclCommGrow(comm, 2, NULL, -1, &grown, NULL), ncclInvalidArgument, "has 2");
    FAILS(ncclCommGrow(comm, 3, NULL, 0, &grown, NULL), ncclInvalidArgument, "expected -1");
    FAILS(ncclCommGrow(comm, 3, &world_id, -1, &grown, NULL), ncclInvalidArgument, "not made by ncclCommGetUniqueId");
    if (w->first == 1) {
      OK(ncclCommGetUniqueId(comm, &id));
      FAILS(ncclCommGetUniqueId(comm, &id), ncclInvalidUsage, "one at a time");
      share(w, 1, &id, sizeof id);
    }
    OK(ncclCommGrow(comm, w->ranks, w->first == 1 ? &id : NULL, -1, &grown, NULL));
    works(comm);
    OK(ncclCommDestroy(comm));
  } else {
    share(w, 1, &id, sizeof id);
    FAILS(ncclCommGrow(NULL, w->ranks, NULL, w->first, &grown, NULL), ncclInvalidArgument, "needs the id");
    OK(ncclCommGrow(NULL, w->ranks, &id, w->first, &grown, NULL));
  }
  OK(ncclCommUserRank(grown, &rank));
  CHECK(rank == w->first);
  works(grown);
  OK(ncclCommDestroy(grown));
}

/* A thread with all ranks: they are made, split and used in groups. */
static void all_in_one(struct world* w) {
  ncclComm_t comms[kMostRanks], halves[kMostRanks], again[kMostRanks];
  int devices[kMostRanks], sums[kMostRanks], ones[kMostRanks], device = -1;
  for (int r = 0; r < w->ranks; ++r) devices[r] = w->ranks - 1 - r, ones[r] = r + 1;
  OK(ncclCommInitAll(comms, w->ranks, devices));
  OK(ncclGroupStart());
  OK(ncclCommInitAll(again, w->ranks, NULL));
  OK(ncclGroupEnd());
  OK(ncclGroupStart());
  for (int r = 0; r < w->ranks; ++r) OK(ncclCommSplit(comms[r], r % 2, r, &halves[r], NULL));
  OK(ncclGroupEnd());
  for (int r = 0; r < w->ranks; ++r) {
    int rank = -1;
    OK(ncclCommUserRank(halves[r], &rank));
    CHECK(rank == r / 2);
    OK(ncclCommCuDevice(comms[r], &device));
    CHECK(device == devices[r]);
  }
  OK(ncclGroupStart()); /* on different communicators in one group */
  for (int r = 0; r < w->ranks; ++r) OK(ncclAllReduce(&ones[r], &sums[r], 1, ncclInt, ncclSum, halves[r], NULL));
  int ring[kMostRanks];
  for (int r = 0; r < w->ranks; ++r) {
    OK(ncclSend(&ones[r], 1, ncclInt, (r + 1) % w->ranks, comms[r], NULL));
    OK(ncclRecv(&ring[r], 1, ncclInt, (r + w->ranks - 1) % w->ranks, again[r], NULL));
    OK(ncclSend(&ones[r], 1, ncclInt, (r + 1) % w->ranks, again[r], NULL));
    OK(ncclRecv(&ring[r], 1, ncclInt, (r + w->ranks - 1) % w->ranks, comms[r], NULL));
  }
  OK(ncclGroupEnd());
  for (int r = 0; r < w->ranks; ++r) {
    int sum = 0;
    for (int other = r % 2; other < w->ranks; other += 2) sum += ones[other];
    CHECK(sums[r] == sum);
    CHECK(ring[r] == ones[(r + w->ranks - 1) % w->ranks]);
  }
  OK(ncclGroupStart());
  ncclUniqueId id;
  OK(ncclGetUniqueId(&id));
  ncclComm_t extra = NULL;
  OK(ncclCommInitRank(&extra, 1, id, 0));
  OK(ncclAllReduce(&ones[0], &sums[0], 1, ncclInt, ncclSum, comms[0], NULL));
  FAILS(ncclGroupEnd(), ncclInvalidUsage, "not both");
  for (int r = 0; r < w->ranks; ++r) {
    OK(ncclCommDestroy(halves[r]));
    OK(ncclCommDestroy(again[r]));
    OK(ncclCommDestroy(comms[r]));
  }
}

/* Nonblocking ranks of one thread. */
static void nonblocking_group(struct world* w) {
  ncclComm_t comms[kMostRanks], mixed = NULL;
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER, blocking = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  OK(ncclGroupStart());
  for (int r = 0; r < w->ranks; ++r) OK(ncclCommInitRankConfig(&comms[r], w->ranks, world_id, r, &config));
  CHECK(ncclGroupEnd() == ncclInProgress);
  for (int r = 0; r < w->ranks; ++r) wait_for(comms[r]);
  int ones[kMostRanks], sums[kMostRanks];
  OK(ncclGroupStart());
  for (int r = 0; r < w->ranks; ++r) {
    ones[r] = r + 1;
    OK(ncclAllReduce(&ones[r], &sums[r], 1, ncclInt, ncclSum, comms[r], NULL));
  }
  OK(ncclGroupEnd());
  for (int r = 0; r < w->ranks; ++r) {
    CHECK(sums[r] == total(w));
    OK(ncclCommDestroy(comms[r]));
  }
  ncclUniqueId id;
  OK(ncclGetUniqueId(&id));
  OK(ncclGroupStart());
  OK(ncclCommInitRankConfig(&comms[0], 2, id, 0, &config));
  OK(ncclCommInitRankConfig(&mixed, 2, id, 1, &blocking));
  FAILS(ncclGroupEnd(), ncclInvalidArgument, "in one group");
}

static void configs(struct world* w) {
  (void)w;
  /* Offset and value of one field; what NCCL refuses. */
  const struct {
    size_t at;
    int value, good;
  } fields[] = {{offsetof(ncclConfig_t, blocking), 2, 0},
                {offsetof(ncclConfig_t, blocking), -1, 0},
                {offsetof(ncclConfig_t, blocking), 1, 1},
                {offsetof(ncclConfig_t, cgaClusterSize), -1, 0},
                {offsetof(ncclConfig_t, cgaClusterSize), 0, 1},
                {offsetof(ncclConfig_t, minCTAs), 0, 0},
                {offsetof(ncclConfig_t, minCTAs), 8, 1},
                {offsetof(ncclConfig_t, maxCTAs), -5, 0},
                {offsetof(ncclConfig_t, splitShare), 2, 0},
                {offsetof(ncclConfig_t, splitShare), 1, 1},
                {offsetof(ncclConfig_t, trafficClass), 7, 1},
                {offsetof(ncclConfig_t, collnetEnable), 3, 0},
                {offsetof(ncclConfig_t, shrinkShare), -1, 0},
                {offsetof(ncclConfig_t, nvlsCTAs), 0, 0},
                {offsetof(ncclConfig_t, nvlinkCentricSched), 2, 0},
                {offsetof(ncclConfig_t, nvlinkCentricSched), 1, 1},
                {offsetof(ncclConfig_t, graphUsageMode), 3, 0},
                {offsetof(ncclConfig_t, graphUsageMode), 2, 1},
                {offsetof(ncclConfig_t, numRmaCtx), -1, 0},
                {offsetof(ncclConfig_t, maxP2pPeers), 0, 0},
                {offsetof(ncclConfig_t, graphStreamOrdering), 2, 0}};
  ncclComm_t comm = NULL;
  ncclUniqueId id;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; ++i) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    memcpy((char*)&config + fields[i].at, &fields[i].value, sizeof(int));
    OK(ncclGetUniqueId(&id));
    if (fields[i].good) {
      OK(ncclCommInitRankConfig(&comm, 1, id, 0, &config));
      works(comm);
      OK(ncclCommDestroy(comm));
    } else {
      FAILS(ncclCommInitRankConfig(&comm, 1, id, 0, &config), ncclInvalidArgument, "the communicator's config");
    }
  }
  OK(ncclGetUniqueId(&id));
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.minCTAs = 5, config.maxCTAs = 4;
  FAILS(ncclCommInitRankConfig(&comm, 1, id, 0, &config), ncclInvalidArgument, "more than maxCTAs");
  config = (ncclConfig_t)NCCL_CONFIG_INITIALIZER;
  config.magic = 0xdeadbeef;
  FAILS(ncclCommInitRankConfig(&comm, 1, id, 0, &config), ncclInvalidArgument, "magic is 0xdeadbeef");
  config.magic = NCCL_API_MAGIC, config.size = 4;
  FAILS(ncclCommInitRankConfig(&comm, 1, id, 0, &config), ncclInvalidArgument, "size is 4");
  /* An older program: what follows its 80 bytes is somebody else's, and so is what its version did not have. */
  config = (ncclConfig_t)NCCL_CONFIG_INITIALIZER;
  config.size = 80, config.version = 22809, config.graphUsageMode = 77, config.maxP2pPeers = -1;
  OK(ncclCommInitRankConfig(&comm, 1, id, 0, &config));
  OK(ncclCommDestroy(comm));
  config.size = sizeof config, config.version = 22304, config.collnetEnable = 55,
  config.trafficClass = -9; /* not yet fields then */
  OK(ncclGetUniqueId(&id));
  OK(ncclCommInitRankConfig(&comm, 1, id, 0, &config));
  OK(ncclCommDestroy(comm));
  /* A newer one: 120 bytes of 2.32, and what no version has yet. */
  struct {
    ncclConfig_t common;
    int more[26];
  } newer = {.common = NCCL_CONFIG_INITIALIZER};
  newer.common.size = sizeof newer, newer.common.version = 23203;
  OK(ncclGetUniqueId(&id));
  OK(ncclCommInitRankConfig(&comm, 1, id, 0, &newer.common));
  OK(ncclCommDestroy(comm));
  OK(ncclGetUniqueId(&id));
  OK(ncclCommInitRankConfig(&comm, 1, id, 0, NULL));
  OK(ncclCommDestroy(comm));
  setenv("NCCL_COMM_BLOCKING", "0", 1); /* the environment goes before */
  config = (ncclConfig_t)NCCL_CONFIG_INITIALIZER;
  config.blocking = 1;
  OK(ncclGetUniqueId(&id));
  CHECK(ncclCommInitRankConfig(&comm, 1, id, 0, &config) == ncclInProgress);
  wait_for(comm);
  OK(ncclCommDestroy(comm));
}

static void parameters(struct world* w) {
  (void)w;
  ncclParamHandle_t handle = NULL;
  const char *text = NULL, **keys = NULL;
  char bytes[16];
  int length = 0, count = 0;
  int8_t small = 0;
  uint64_t large = 0;
  setenv("NCCL_SET_THREAD_NAME", "300", 1);
  unsetenv("NCCL_DEBUG_FILE");
  FAILS(ncclParamBind(&handle, "NCCL_NOTHING"), ncclInvalidArgument, "NCCL_NOTHING");
  OK(ncclParamBind(&handle, "NCCL_SET_THREAD_NAME"));
  OK(ncclParamGetU64(handle, &large));
  CHECK(large == 300);
  FAILS(ncclParamGetI8(handle, &small), ncclInvalidArgument, "no number of 8 bits");
  OK(ncclParamGetStr(handle, &text));
  CHECK(strcmp(text, "300") == 0);
  OK(ncclParamGet(handle, bytes, sizeof bytes, &length));
  CHECK(strcmp(bytes, "300") == 0 && length == 4);
  FAILS(ncclParamGet(handle, bytes, 2, &length), ncclInvalidArgument, "room for 2");
  OK(ncclParamGetParameter("NCCL_DEBUG_FILE", &text, &length));
  CHECK(strcmp(text, "") == 0 && length == 0);
  FAILS(ncclParamGetParameter("PATH", &text, &length), ncclInvalidArgument, "PATH");
  OK(ncclParamGetAllParameterKeys(&keys, &count));
  CHECK(count == 6 && strcmp(keys[0], "NCCL_DEBUG") == 0);
  FAILS(ncclParamGetI8((ncclParamHandle_t)bytes, &small), ncclInvalidArgument, "no handle");
  ncclParamDumpAll();
  ncclEncryptionConfig_t encryption = NCCL_ENCRYPTION_CONFIG_INITIALIZER;
  OK(ncclSetEncryption(&encryption));
  encryption.mode = NCCL_ENCRYPTION_MODE_PSK;
  FAILS(ncclSetEncryption(&encryption), ncclInvalidUsage, "not offered");
}

/* What nccl_device.h declares. */
struct team {
  int ranks, rank, stride;
};
struct properties {
  size_t size;
  unsigned magic, version;
  int rank, ranks, cuda_device, nvml_device;
  char device_api, multimem, filler[2];
  int gin_type, lsa_teams;
  char host_rma;
  int railed_gin_type;
};
extern ncclResult_t ncclCommQueryProperties(ncclComm_t, struct properties*);
extern ncclResult_t ncclDevCommCreate(ncclComm_t, const void*, void*);
extern ncclResult_t ncclGetPeerDevicePointer(ncclWindow_t, size_t, int, void**);
extern struct team ncclTeamWorld(ncclComm_t);
extern struct team ncclTeamLsa(ncclComm_t);
extern struct team ncclTeamRail(ncclComm_t);
extern int ncclTeamRankToWorld(ncclComm_t, struct team, int);

static void device_interface(struct world* w) {
  ncclComm_t comm = w->comms[0];
  struct properties p;
  void* pointer = w;
  memset(&p, 0x77, sizeof p);
  p.size = sizeof p, p.magic = NCCL_API_MAGIC, p.version = NCCL_VERSION_CODE;
  OK(ncclCommQueryProperties(comm, &p));
  CHECK(p.rank == w->first && p.ranks == w->ranks && p.device_api == 0 && p.multimem == 0 && p.host_rma == 0 && p.gin_type == 0);
  memset(&p, 0x77, sizeof p);
  p.size = 40, p.magic = NCCL_API_MAGIC, p.version = 22902; /* ends before lsa_teams */
  OK(ncclCommQueryProperties(comm, &p));
  CHECK(p.rank == w->first && p.lsa_teams == 0x77777777);
  p.magic = 0;
  CHECK(ncclCommQueryProperties(comm, &p) == ncclInvalidUsage);
  FAILS(ncclDevCommCreate(comm, &p, &p), ncclInvalidUsage, "without a GPU");
  CHECK(ncclGetPeerDevicePointer(NULL, 0, 0, &pointer) == ncclInvalidArgument);
  CHECK(pointer == w); /* as NCCL leaves it */
  const struct team world = ncclTeamWorld(comm), near = ncclTeamLsa(comm), rail = ncclTeamRail(comm);
  CHECK(world.ranks == w->ranks && world.rank == w->first && world.stride == 1);
  CHECK(near.ranks == 1 && near.rank == 0 && rail.ranks == w->ranks);
  CHECK(ncclTeamRankToWorld(comm, world, 0) == 0 && ncclTeamRankToWorld(comm, near, 0) == w->first);
}

/* It ends without destroying anything, and the others do not suffer. */
static void leaves_it_open(struct world* w) {
  ncclComm_t comm = NULL;
  OK(ncclCommInitRank(&comm, w->ranks, world_id, w->first));
  for (int i = 0; i < 20; ++i) works(comm);
}

const struct test_case cases[] = {{"info", info, 1},
                                  {"init_arguments", init_arguments, 1},
                                  {"fixed_id", fixed_id, 1},
                                  {"arguments", arguments, 0},
                                  {"point_to_point", point_to_point, 0},
                                  {"average", average, 0},
                                  {"premultiplied", premultiplied, 0},
                                  {"split", split, 0},
                                  {"shrink", shrink, 0},
                                  {"scalable", scalable, 1},
                                  {"used_id", used_id, 1},
                                  {"nonblocking", nonblocking, 1},
                                  {"abort_init", abort_init, 1},
                                  {"abort_blocking_init", abort_blocking_init, 1},
                                  {"abort_split", abort_split, 1},
                                  {"leaves_init", leaves_init, 1},
                                  {"ends", ends, 1},
                                  {"abort_waiting", abort_waiting, 1},
                                  {"revoke_waiting", revoke_waiting, 1},
                                  {"many", many, 1},
                                  {"destroy_waiting", destroy_waiting, 1},
                                  {"mismatches", mismatches, 0},
                                  {"killed", killed, 1},
                                  {"memory", memory, 0},
                                  {"simulated", simulated, 0},
                                  {"call_configs", call_configs, 0},
                                  {"grow", grow, 1},
                                  {"all_in_one", all_in_one, 1},
                                  {"nonblocking_group", nonblocking_group, 1},
                                  {"configs", configs, 1},
                                  {"parameters", parameters, 1},
                                  {"device_interface", device_interface, 0},
                                  {"leaves_it_open", leaves_it_open, 1},
                                  {NULL, NULL, 0}};
