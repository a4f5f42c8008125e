/* values: every collective with every type and operator, in place and not, with counts that are zero, odd and large: every
   element of the result is checked, and that nothing is written around it. See world.h. */
#include "numbers.h"
#include "world.h"

static const char* const kOps[] = {"sum", "prod", "max", "min", "avg"};

/* Small enough for sums and products of eight ranks in every type, and averages that are whole. */
static double element(int op, int ranks, int rank, size_t i) {
  if (op == ncclAvg) return rank == (int)(i % (size_t)ranks) ? (i % 2 ? ranks : 0) : 0;
  if (op == ncclProd) return 1 + ((size_t)rank + i) % 2;
  return ((size_t)rank * 3 + i) % 2;
}
static double reduced(int op, int ranks, size_t i) {
  if (op == ncclAvg) return i % 2;
  double result = element(op, ranks, 0, i);
  for (int r = 1; r < ranks; ++r) {
    const double e = element(op, ranks, r, i);
    result = op == ncclSum ? result + e : op == ncclProd ? result * e : op == ncclMax ? fmax(result, e) : fmin(result, e);
  }
  return result;
}
/* What rank r has for rank d; different for most pairs. */
static double own(int rank, int block, size_t i) { return (rank * 5 + block * 3 + i) % 8; }

enum kind { all_reduce, reduce, broadcast, bcast, all_gather, reduce_scatter, all_to_all, gather, scatter, kinds };
static const char* const kNames[kinds] = {"all_reduce",     "reduce",     "broadcast", "bcast",  "all_gather",
                                          "reduce_scatter", "all_to_all", "gather",    "scatter"};

struct job {
  enum kind kind;
  int type, op, root, in_place;
  size_t count;
};

static int many_in(enum kind k) { return k == reduce_scatter || k == all_to_all || k == scatter; }
static int many_out(enum kind k) { return k == all_gather || k == all_to_all || k == gather; }
static int is_reduction(enum kind k) { return k == all_reduce || k == reduce || k == reduce_scatter; }

enum { kMargin = 64 };
struct buffers {
  char *in, *out, *in_memory, *out_memory;
};

static double input_of(const struct job* j, int ranks, int rank, size_t at) {
  const int block = j->count ? (int)(at / j->count) : 0;
  return is_reduction(j->kind) ? element(j->op, ranks, rank, at) : own(rank, block, at % j->count);
}

static void prepare(struct buffers* b, const struct job* j, int ranks, int rank) {
  const size_t size = kSizes[j->type], block = j->count * size;
  const size_t in_bytes = block * (many_in(j->kind) ? (size_t)ranks : 1),
               out_bytes = block * (many_out(j->kind) ? (size_t)ranks : 1);
  b->in_memory = malloc(in_bytes + 2 * kMargin);
  b->out_memory = malloc(out_bytes + 2 * kMargin);
  memset(b->in_memory, 0x5a, in_bytes + 2 * kMargin);
  memset(b->out_memory, 0x5a, out_bytes + 2 * kMargin);
  b->in = b->in_memory + kMargin;
  b->out = b->out_memory + kMargin;
  if (j->in_place || j->kind == bcast) {
    const size_t mine = block * (size_t)rank;
    if (many_in(j->kind) == many_out(j->kind))
      b->in = b->out;
    else if (many_out(j->kind))
      b->in = b->out + mine;
    else
      b->out = b->in + mine;
  }
  for (size_t i = 0; i < in_bytes / size; ++i) put(b->in, i, j->type, input_of(j, ranks, rank, i));
}

static ncclResult_t call(const struct job* j, const struct buffers* b, ncclComm_t comm, int rank) {
  const ncclDataType_t type = (ncclDataType_t)j->type;
  const ncclRedOp_t op = (ncclRedOp_t)j->op;
  const int at_root = rank == j->root;
  switch (j->kind) {
    case all_reduce:
      return ncclAllReduce(b->in, b->out, j->count, type, op, comm, NULL);
    case reduce:
      return ncclReduce(b->in, at_root ? b->out : NULL, j->count, type, op, j->root, comm, NULL);
    case broadcast:
      return ncclBroadcast(at_root ? b->in : NULL, b->out, j->count, type, j->root, comm, NULL);
    case bcast:
      return ncclBcast(b->out, j->count, type, j->root, comm, NULL);
    case all_gather:
      return ncclAllGather(b->in, b->out, j->count, type, comm, NULL);
    case reduce_scatter:
      return ncclReduceScatter(b->in, b->out, j->count, type, op, comm, NULL);
    case all_to_all:
      return ncclAlltoAll(b->in, b->out, j->count, type, comm, NULL);
    case gather:
      return ncclGather(b->in, at_root ? b->out : NULL, j->count, type, j->root, comm, NULL);
    default:
      return ncclScatter(at_root ? b->in : NULL, b->out, j->count, type, j->root, comm, NULL);
  }
}

static double expected(const struct job* j, int ranks, int rank, size_t at) {
  const int block = j->count ? (int)(at / j->count) : 0;
  const size_t i = j->count ? at % j->count : 0;
  switch (j->kind) {
    case all_reduce:
    case reduce:
      return reduced(j->op, ranks, at);
    case reduce_scatter:
      return reduced(j->op, ranks, at + j->count * (size_t)rank);
    case broadcast:
    case bcast:
      return own(j->root, 0, i);
    case all_gather:
    case gather:
      return own(block, 0, i);
    case all_to_all:
      return own(block, rank, i);
    default:
      return own(j->root, rank, i);
  }
}

static void verify(const struct job* j, const struct buffers* b, int ranks, int rank) {
  const size_t elements = j->count * (many_out(j->kind) ? (size_t)ranks : 1);
  const int has_output = (j->kind != reduce && j->kind != gather) || rank == j->root;
  for (size_t i = 0; has_output && i < elements; ++i) {
    const double got = get(b->out, i, j->type), wanted = expected(j, ranks, rank, i);
    if (got != wanted) {
      fprintf(stderr, "%s of type %d, op %s, count %zu, root %d, in place %d on rank %d of %d: element %zu is %g, not %g\n",
              kNames[j->kind], j->type, kOps[j->op], j->count, j->root, j->in_place, rank, ranks, i, got, wanted);
      _exit(1);
    }
  }
  const size_t block = j->count * kSizes[j->type];
  const size_t in_bytes = block * (many_in(j->kind) ? (size_t)ranks : 1),
               out_bytes = block * (many_out(j->kind) ? (size_t)ranks : 1);
  for (int i = 0; i < kMargin; ++i)
    CHECK(b->in_memory[i] == 0x5a && b->out_memory[i] == 0x5a && b->in_memory[kMargin + in_bytes + (size_t)i] == 0x5a &&
          b->out_memory[kMargin + out_bytes + (size_t)i] == 0x5a);
  free(b->in_memory);
  free(b->out_memory);
}

static void run_job(struct world* w, const struct job* j) {
  struct buffers b[kMostRanks];
  for (int i = 0; i < w->locals; ++i) prepare(&b[i], j, w->ranks, w->first + i);
  if (w->locals > 1) OK(ncclGroupStart());
  for (int i = 0; i < w->locals; ++i) OK(call(j, &b[i], w->comms[i], w->first + i));
  if (w->locals > 1) OK(ncclGroupEnd());
  for (int i = 0; i < w->locals; ++i) verify(j, &b[i], w->ranks, w->first + i);
}

static void values(struct world* w) {
  const size_t counts[] = {0, 1, 7, 1001, 70001};
  for (int k = 0; k < kinds; ++k)
    for (int type = 0; type < ncclNumTypes; ++type)
      for (int op = 0; op < (is_reduction((enum kind)k) ? ncclNumOps : 1); ++op)
        for (int c = 0; c < 5; ++c)
          for (int in_place = 0; in_place < (k == all_to_all || k == bcast ? 1 : 2); ++in_place) {
            if (counts[c] > 10000 && type != ncclFloat32 && type != ncclUint8 && type != ncclBfloat16) continue;
            const struct job j = {(enum kind)k, type, op, (type + op + c) % w->ranks, in_place, counts[c]};
            run_job(w, &j);
          }
}

/* Several collectives of different kinds, by every rank in the same order, in one group or one by one. */
static void run_in_groups(struct world* w, int in_group) {
  const struct job jobs[] = {{all_reduce, ncclFloat32, ncclSum, 0, 0, 1000}, {broadcast, ncclInt64, 0, w->ranks - 1, 0, 77},
                             {all_gather, ncclUint8, 0, 0, 1, 12345},        {reduce_scatter, ncclFloat16, ncclMax, 0, 0, 333},
                             {all_reduce, ncclInt32, ncclProd, 0, 1, 3},     {all_to_all, ncclFloat64, 0, 0, 0, 50}};
  enum { kJobs = sizeof jobs / sizeof *jobs };
  struct buffers b[kJobs][kMostRanks];
  for (int n = 0; n < kJobs; ++n)
    for (int i = 0; i < w->locals; ++i) prepare(&b[n][i], &jobs[n], w->ranks, w->first + i);
  if (in_group) OK(ncclGroupStart());
  for (int n = 0; n < kJobs; ++n) {
    OK(ncclGroupStart()); /* nested groups are for nothing */
    for (int i = 0; i < w->locals; ++i) OK(call(&jobs[n], &b[n][i], w->comms[i], w->first + i));
    OK(ncclGroupEnd());
  }
  if (in_group) OK(ncclGroupEnd());
  for (int n = 0; n < kJobs; ++n)
    for (int i = 0; i < w->locals; ++i) verify(&jobs[n], &b[n][i], w->ranks, w->first + i);
}
static void grouped(struct world* w) {
  run_in_groups(w, 1);
  run_in_groups(w, 0);
  run_in_groups(w, w->first % 2); /* some ranks so, some so */
}

/* The structs with sizes and versions of the header that this was compiled with. */
static void configured(struct world* w) {
  ncclComm_t comms[kMostRanks];
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  ncclSimInfo_t info = NCCL_SIM_INFO_INITIALIZER;
  config.blocking = 1, config.splitShare = 0, config.commName = "configured";
  OK(ncclGroupStart());
  for (int i = 0; i < w->locals; ++i) OK(ncclCommSplit(w->comms[i], 0, 0, &comms[i], &config));
  OK(ncclGroupEnd());
  const struct job job = {all_reduce, ncclFloat32, ncclSum, 0, 0, 100};
  struct buffers b[kMostRanks];
  for (int i = 0; i < w->locals; ++i) prepare(&b[i], &job, w->ranks, w->first + i);
  OK(ncclGroupStart());
  for (int i = 0; i < w->locals; ++i) OK(call(&job, &b[i], comms[i], w->first + i));
  OK(ncclGroupSimulateEnd(&info));
  CHECK(w->ranks == 1 || info.estimatedTime > 0);
  OK(ncclGroupStart());
  for (int i = 0; i < w->locals; ++i) OK(call(&job, &b[i], comms[i], w->first + i));
  OK(ncclGroupEnd());
  for (int i = 0; i < w->locals; ++i) {
    verify(&job, &b[i], w->ranks, w->first + i);
    OK(ncclCommDestroy(comms[i]));
  }
}

const struct test_case cases[] = {{"values", values, 0}, {"grouped", grouped, 0}, {"configured", configured, 0}, {NULL, NULL, 0}};
