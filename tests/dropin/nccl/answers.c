/* answers LIBRARY: what a libnccl.so.2 answers to calls that need neither a communicator nor a GPU, a line each. */
#include <dlfcn.h>
#include <nccl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void* library;
static const char* name;

static void* function(const char* called) {
  name = called;
  void* f = dlsym(library, called);
  if (f == NULL) {
    fprintf(stderr, "there is no %s\n", called);
    exit(1);
  }
  return f;
}
#define CALL(f, type, ...) ((type)function(#f))(__VA_ARGS__)
#define TELL(f, type, ...)                             \
  do {                                                 \
    const int result = CALL(f, type, __VA_ARGS__);     \
    printf("%s(%s) = %d\n", #f, #__VA_ARGS__, result); \
  } while (0)

/* What nccl_device.h of NCCL 2.30 declares. */
struct team {
  int ranks, rank, stride;
};
struct requirements {
  void* next;
  size_t buffer_size, buffer_align;
  void* buffer_handle;
  int signals, counters;
  void *signal_start, *counter_start;
};
static unsigned char handle[64];
static struct requirements needs;

static void prepare(void) {
  memset(handle, 0x77, sizeof handle);
  memset(&needs, 0x77, sizeof needs);
}
/* A pointer as a place in the handle. */
static void place(const char* what, const void* at) {
  const uintptr_t offset = (uintptr_t)at - (uintptr_t)handle;
  if (at == NULL)
    printf(" %s NULL", what);
  else if (offset < sizeof handle)
    printf(" %s handle+%zu", what, (size_t)offset);
  else
    printf(" %s %s", what, (uintptr_t)at == (uintptr_t)0x7777777777777777 ? "untouched" : "elsewhere");
}
static void tell_needs(ncclResult_t result) {
  printf("%s = %d: handle ", name, result);
  for (int i = 0; i < 32; ++i) printf("%02x", handle[i]);
  printf(" bytes %zx align %zx signals %x counters %x", needs.buffer_size, needs.buffer_align, needs.signals, needs.counters);
  place("next", needs.next);
  place("buffer", needs.buffer_handle);
  place("signal", needs.signal_start);
  place("counter", needs.counter_start);
  printf("\n");
}

static void requirements(void) {
  typedef ncclResult_t (*lsa)(struct team, int, void*, void*);
  typedef ncclResult_t (*gin)(ncclComm_t, struct team, int, void*, void*);
  typedef ncclResult_t (*two)(int, int, void*, void*);
  typedef ncclResult_t (*inbox)(struct team, int, int, void*, void*);
  const struct team teams[] = {{1, 0, 1}, {2, 1, 1}, {5, 3, 2}, {8, 0, 4}, {72, 71, 1}};
  for (size_t t = 0; t < sizeof teams / sizeof *teams; ++t)
    for (int n = 0; n < 5; ++n) {
      const int barriers = n == 4 ? 1000 : n;
      printf("team of %d, %d: ", teams[t].ranks, barriers);
      prepare();
      tell_needs(CALL(ncclLsaBarrierCreateRequirement, lsa, teams[t], barriers, handle, &needs));
      prepare();
      tell_needs(CALL(ncclGinBarrierCreateRequirement, gin, NULL, teams[t], barriers, handle, &needs));
      if (barriers == 0 || teams[t].ranks == 1) continue; /* NCCL divides by zero */
      prepare();
      tell_needs(CALL(ncclGinInboxA2ACreateRequirement, inbox, teams[t], barriers, 3 * n, handle, &needs));
    }
  for (int blocks = 0; blocks < 70; blocks = 3 * blocks + 1)
    for (int n = 0; n < 70; n = 2 * n + 1) {
      printf("%d blocks, %d: ", blocks, n);
      prepare();
      tell_needs(CALL(ncclLLA2ACreateRequirement, two, blocks, n, handle, &needs));
      prepare();
      tell_needs(CALL(ncclGinOutboxCreateRequirement, two, blocks, n % 20, handle, &needs));
    }
  for (int elements = 0; elements < 5000; elements = 3 * elements + 1)
    for (int bytes = 0; bytes <= 64; bytes = bytes * 2 + 1 + bytes % 3)
      printf("slots of %d x %d: %d\n", elements, bytes, CALL(ncclLLA2ACalcSlots, int (*)(int, int), elements, bytes));
}

static void device_interface(void) {
  void* pointer = &library;
  ncclResult_t result = CALL(ncclGetPeerDevicePointer, ncclResult_t(*)(ncclWindow_t, size_t, int, void**), NULL, 0, 0, &pointer);
  printf("%s = %d %s\n", name, result, pointer == NULL ? "NULL" : "untouched");
  pointer = &library;
  result = CALL(ncclGetLsaDevicePointer, ncclResult_t(*)(ncclWindow_t, size_t, int, void**), NULL, 0, 0, &pointer);
  printf("%s = %d %s\n", name, result, pointer == NULL ? "NULL" : "untouched");
  pointer = &library;
  result = CALL(ncclGetLsaMultimemDevicePointer, ncclResult_t(*)(ncclWindow_t, size_t, void**), NULL, 0, &pointer);
  printf("%s = %d %s\n", name, result, pointer == NULL ? "NULL" : "untouched");
  pointer = &library;
  result = CALL(ncclGetMultimemDevicePointer, ncclResult_t(*)(ncclWindow_t, size_t, void*, void**), NULL, 0, NULL, &pointer);
  printf("%s = %d %s\n", name, result, pointer == NULL ? "NULL" : "untouched");
  TELL(ncclDevCommCreate, ncclResult_t(*)(ncclComm_t, void*, void*), NULL, NULL, NULL);
  TELL(ncclDevCommDestroy, ncclResult_t(*)(ncclComm_t, void*), NULL, NULL);
  TELL(ncclCommQueryProperties, ncclResult_t(*)(ncclComm_t, void*), NULL, NULL);
}

typedef ncclResult_t (*of_comm)(ncclComm_t);
typedef ncclResult_t (*to_where)(ncclComm_t, void*);

static void without_communicator(void) {
  int version = 0;
  uint64_t bytes = 0;
  void *handle_of = &library, *memory = &library;
  ncclRedOp_t op;
  float data[4] = {1};
  ncclWindow_t window = (ncclWindow_t)&library;
  ncclUniqueId id;
  memset(&id, 0, sizeof id);
  TELL(ncclGetVersion, ncclResult_t(*)(int*), NULL);
  TELL(ncclGetVersion, ncclResult_t(*)(int*), &version);
  printf("version %d\n", version);
  for (int i = -2; i < 12; ++i) printf("%d: %s\n", i, CALL(ncclGetErrorString, const char* (*)(int), i));
  TELL(ncclGetUniqueId, ncclResult_t(*)(ncclUniqueId*), NULL);
  TELL(ncclCommCount, to_where, NULL, &version);
  TELL(ncclCommCount, to_where, NULL, NULL);
  TELL(ncclCommCuDevice, to_where, NULL, &version);
  TELL(ncclCommUserRank, to_where, NULL, &version);
  TELL(ncclCommGetAsyncError, to_where, NULL, &version);
  TELL(ncclCommFinalize, of_comm, NULL);
  TELL(ncclCommDestroy, of_comm, NULL);
  TELL(ncclCommAbort, of_comm, NULL);
  TELL(ncclCommRevoke, ncclResult_t(*)(ncclComm_t, int), NULL, 0);
  TELL(ncclCommRevoke, ncclResult_t(*)(ncclComm_t, int), NULL, 7);
  TELL(ncclCommSuspend, ncclResult_t(*)(ncclComm_t, int), NULL, 1);
  TELL(ncclCommResume, of_comm, NULL);
  TELL(ncclCommMemStats, ncclResult_t(*)(ncclComm_t, int, uint64_t*), NULL, 0, &bytes);
  TELL(ncclCommGetUniqueId, to_where, NULL, &id);
  TELL(ncclCommRegister, ncclResult_t(*)(ncclComm_t, void*, size_t, void**), NULL, data, 16, &handle_of);
  TELL(ncclCommDeregister, to_where, NULL, NULL);
  TELL(ncclCommWindowRegister, ncclResult_t(*)(ncclComm_t, void*, size_t, ncclWindow_t*, int), NULL, data, 16, &window, 0);
  TELL(ncclCommWindowDeregister, to_where, NULL, NULL);
  TELL(ncclWinGetUserPtr, ncclResult_t(*)(ncclComm_t, void*, void**), NULL, NULL, &memory);
  TELL(ncclRedOpCreatePreMulSum, ncclResult_t(*)(ncclRedOp_t*, void*, int, int, ncclComm_t), &op, data, 7, 1, NULL);
  TELL(ncclRedOpDestroy, ncclResult_t(*)(int, ncclComm_t), 9, NULL);
  TELL(ncclRedOpDestroy, ncclResult_t(*)(int, ncclComm_t), 0, NULL);
  TELL(ncclAllReduce, ncclResult_t(*)(void*, void*, size_t, int, int, ncclComm_t, void*), data, data, 4, 7, 0, NULL, NULL);
  TELL(ncclReduce, ncclResult_t(*)(void*, void*, size_t, int, int, int, ncclComm_t, void*), data, data, 4, 7, 0, 0, NULL, NULL);
  TELL(ncclBroadcast, ncclResult_t(*)(void*, void*, size_t, int, int, ncclComm_t, void*), data, data, 4, 7, 0, NULL, NULL);
  TELL(ncclBcast, ncclResult_t(*)(void*, size_t, int, int, ncclComm_t, void*), data, 4, 7, 0, NULL, NULL);
  TELL(ncclAllGather, ncclResult_t(*)(void*, void*, size_t, int, ncclComm_t, void*), data, data, 4, 7, NULL, NULL);
  TELL(ncclSend, ncclResult_t(*)(void*, size_t, int, int, ncclComm_t, void*), data, 4, 7, 0, NULL, NULL);
  TELL(ncclRecv, ncclResult_t(*)(void*, size_t, int, int, ncclComm_t, void*), data, 4, 7, 0, NULL, NULL);
  TELL(ncclSignal, ncclResult_t(*)(int, int, int, unsigned, ncclComm_t, void*), 0, 0, 0, 0, NULL, NULL);
  TELL(ncclWaitSignal, ncclResult_t(*)(int, void*, ncclComm_t, void*), 0, NULL, NULL, NULL);
  TELL(ncclGroupEnd, ncclResult_t(*)(void), );
  TELL(ncclGroupSimulateEnd, ncclResult_t(*)(void*), NULL);
  TELL(ncclGroupStart, ncclResult_t(*)(void), );
  TELL(ncclGroupEnd, ncclResult_t(*)(void), );
}

static int by_name(const void* a, const void* b) { return strcmp(*(const char* const*)a, *(const char* const*)b); }

static void parameters(void) {
  typedef ncclResult_t (*parameter)(const char*, const char**, int*);
  ncclParamHandle_t bound = NULL;
  const char *text = NULL, **keys = NULL;
  int length = -1, count = -1;
  unsetenv("NCCL_DEBUG_FILE");
  TELL(ncclParamBind, ncclResult_t(*)(void*, const char*), &bound, "NCCL_NOTHING");
  TELL(ncclParamBind, ncclResult_t(*)(void*, const char*), &bound, NULL);
  TELL(ncclParamBind, ncclResult_t(*)(void*, const char*), NULL, "NCCL_DEBUG");
  TELL(ncclParamGetParameter, parameter, "PATH", &text, &length);
  TELL(ncclParamGetParameter, parameter, "NCCL_DEBUG_FILE", &text, &length);
  printf("'%s' %d\n", text == NULL ? "NULL" : text, length);
  TELL(ncclParamGetAllParameterKeys, ncclResult_t(*)(const char***, int*), &keys, &count);
  qsort(keys, (size_t)count, sizeof *keys, by_name);
  for (int i = 0; i < count; ++i) {
    unsetenv(keys[i]);
    const int result = CALL(ncclParamGetParameter, parameter, keys[i], &text, &length);
    printf("%s: %d '%s' %d\n", keys[i], result, text, length);
  }
}

int main(int argc, char** argv) {
  library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (library == NULL) {
    fprintf(stderr, "%s\n", argc > 1 ? dlerror() : "answers LIBRARY");
    return 1;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  without_communicator();
  parameters();
  device_interface();
  requirements();
  return 0;
}
