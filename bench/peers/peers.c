// One collective of MPI, timed the same way whatever serves it:
// peers COLLECTIVE [MIN_BYTES MAX_BYTES [MILLISECONDS [FACTOR [malloc|alloc_mem [FILE]]]]].
// Each size is FACTOR (2) times the one before; buffers come from malloc or MPI_Alloc_mem. FILE: one that all ranks can map; without
// it they share memory by its name.
//
// Before each call every rank rewrites its input and meets the others at a barrier of this program's own (a line of shared
// memory for each rank), which they leave at the same time by the clock, so that nothing but the call is measured. A call takes
// as long as its slowest rank. Every result is
// checked. Prints a line of JSON for each size: the median, the best and the 90th percentile over the calls, in microseconds,
// less what an empty call measures; and what a bare exchange of flags took just before, which tells how close the cores are now.
#include <fcntl.h>
#include <mpi.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { kMostRanks = 64, kMostCalls = 2000, kWarmUp = 5 };

// Seconds after the last rank's arrival at a barrier when all leave it. Without that the last one would leave it first, by the
// time that its arrival takes to be seen.
static const double kStartsTogether = 1e-6;

struct Line {
  _Alignas(64) atomic_ulong arrived;
  double at[2];  // when, by parity of the count
};

struct Shared {
  struct Line ranks[kMostRanks];
  _Alignas(64) double seconds[kMostRanks][kMostCalls];
  int calls;
};

static struct Shared* shared;
static int me, size, from_mpi;
static unsigned spins;  // looks before a core is given away; none where ranks share cores, which others need for their calls

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void meet(void) {
  struct Line* mine = &shared->ranks[me];
  const unsigned long epoch = atomic_load_explicit(&mine->arrived, memory_order_relaxed) + 1;
  mine->at[epoch % 2] = now();
  atomic_store_explicit(&mine->arrived, epoch, memory_order_release);
  double last = 0;
  for (int r = 0; r < size; ++r) {
    const struct Line* line = &shared->ranks[r];
    for (unsigned looks = 0; atomic_load_explicit(&line->arrived, memory_order_acquire) < epoch; ++looks)
      if (looks >= spins) sched_yield();
    if (line->at[epoch % 2] > last) last = line->at[epoch % 2];
  }
  while (now() < last + kStartsTogether) {
  }
}

// Microseconds for each rank to write its line and see those of all others.
static double time_flags(void) {
  enum { kExchanges = 200 };
  meet();
  const unsigned long first = atomic_load_explicit(&shared->ranks[me].arrived, memory_order_relaxed);
  const double start = now();
  for (unsigned long epoch = first + 1; epoch <= first + kExchanges; ++epoch) {
    atomic_store_explicit(&shared->ranks[me].arrived, epoch, memory_order_release);
    for (int r = 0; r < size; ++r)
      for (unsigned looks = 0; atomic_load_explicit(&shared->ranks[r].arrived, memory_order_acquire) < epoch; ++looks)
        if (looks >= spins) sched_yield();
  }
  const double us = 1e6 * (now() - start) / kExchanges;
  meet();
  return us;
}

static void fail(const char* what) {
  fprintf(stderr, "peers: rank %d: %s\n", me, what);
  MPI_Abort(MPI_COMM_WORLD, 1);
  exit(1);
}

static void share(const char* file) {
  char name[64] = "";
  if (me == 0) snprintf(name, sizeof name, "/tutti-peers-%d", (int)getpid());
  MPI_Bcast(name, sizeof name, MPI_CHAR, 0, MPI_COMM_WORLD);
  const int fd = file != NULL ? open(file, O_RDWR | O_CREAT, 0600) : shm_open(name, O_RDWR | O_CREAT, 0600);
  if (fd < 0 || ftruncate(fd, sizeof *shared) != 0) fail("no shared memory");
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (shared == MAP_FAILED) fail("no shared memory");
  close(fd);
  MPI_Barrier(MPI_COMM_WORLD);
  if (me == 0) (void)(file != NULL ? unlink(file) : shm_unlink(name));
}

struct Buffers {
  float *in, *out;
  size_t n;  // elements that a rank gives
};

// Rank r's element i of call c.
static float value(int r, int c, size_t i) { return (float)(c % 7 + r + (int)(i & 15)); }

struct Collective {
  const char* name;
  int blocks_in, blocks_out;  // of n elements; 0: one for each rank
  int (*call)(const struct Buffers*);
  float (*expected)(int c, size_t i, size_t n);
};

static int call_nothing(const struct Buffers* b) {
  (void)b;
  return MPI_SUCCESS;
}
static int call_allreduce(const struct Buffers* b) {
  return MPI_Allreduce(b->in, b->out, (int)b->n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}
static int call_allgather(const struct Buffers* b) {
  return MPI_Allgather(b->in, (int)b->n, MPI_FLOAT, b->out, (int)b->n, MPI_FLOAT, MPI_COMM_WORLD);
}
static int call_reduce_scatter(const struct Buffers* b) {
  return MPI_Reduce_scatter_block(b->in, b->out, (int)b->n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}
static int call_alltoall(const struct Buffers* b) {
  return MPI_Alltoall(b->in, (int)b->n, MPI_FLOAT, b->out, (int)b->n, MPI_FLOAT, MPI_COMM_WORLD);
}
static int call_bcast(const struct Buffers* b) {
  return MPI_Bcast(b->out, (int)b->n, MPI_FLOAT, 0, MPI_COMM_WORLD);
}
static int call_reduce(const struct Buffers* b) {
  return MPI_Reduce(b->in, b->out, (int)b->n, MPI_FLOAT, MPI_SUM, 0, MPI_COMM_WORLD);
}
static int call_barrier(const struct Buffers* b) {
  (void)b;
  return MPI_Barrier(MPI_COMM_WORLD);
}

static float sum(int c, size_t i) { return (float)size * value(0, c, i) + (float)(size * (size - 1) / 2); }
static float expect_sum(int c, size_t i, size_t n) {
  (void)n;
  return sum(c, i);
}
static float expect_blocks(int c, size_t i, size_t n) { return value((int)(i / n), c, i % n); }
static float expect_my_sum(int c, size_t i, size_t n) { return sum(c, (size_t)me * n + i); }
static float expect_my_blocks(int c, size_t i, size_t n) { return value((int)(i / n), c, (size_t)me * n + i % n); }
static float expect_root(int c, size_t i, size_t n) {
  (void)n;
  return value(0, c, i);
}

static const struct Collective collectives[] = {
    {"allreduce", 1, 1, call_allreduce, expect_sum},
    {"allgather", 1, 0, call_allgather, expect_blocks},
    {"reduce_scatter", 0, 1, call_reduce_scatter, expect_my_sum},
    {"alltoall", 0, 0, call_alltoall, expect_my_blocks},
    {"bcast", 1, 1, call_bcast, expect_root},
    {"reduce", 1, 1, call_reduce, expect_sum},
    {"barrier", 1, 1, call_barrier, NULL},
};

static void check(const struct Collective* collective, const struct Buffers* b, int c) {
  if (collective->expected == NULL || (collective->call == call_reduce && me != 0)) return;
  const size_t elements = b->n * (size_t)(collective->blocks_out == 0 ? size : 1);
  for (size_t i = 0; i < elements; ++i) {
    if (b->out[i] == collective->expected(c, i, b->n)) continue;
    fprintf(stderr, "peers: rank %d: %s of %zu elements: element %zu is %g instead of %g\n", me, collective->name, b->n, i,
            b->out[i], collective->expected(c, i, b->n));
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
}

// The slowest rank's seconds of each call, left in shared->seconds[0] of rank 0.
static void time_calls(const struct Collective* collective, int (*call)(const struct Buffers*), const struct Buffers* b,
                       int first, int calls) {
  const size_t given = b->n * (size_t)(collective->blocks_in == 0 ? size : 1);
  float* in = collective->call == call_bcast ? b->out : b->in;
  for (int c = first; c < first + calls; ++c) {
    for (size_t i = 0; i < given; ++i) in[i] = value(me, c, i);
    meet();
    const double start = now();
    if (call(b) != MPI_SUCCESS) fail("the call failed");
    shared->seconds[me][c - first] = now() - start;
    meet();  // who is done leaves its core to the others until they are
    if (call != call_nothing) check(collective, b, c);
  }
  meet();
  for (int c = 0; me == 0 && c < calls; ++c)
    for (int r = 1; r < size; ++r)
      if (shared->seconds[r][c] > shared->seconds[0][c]) shared->seconds[0][c] = shared->seconds[r][c];
  meet();
}

static int ascending(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

static void* get_memory(size_t bytes) {
  void* memory = NULL;
  if (!from_mpi)
    memory = malloc(bytes);
  else if (MPI_Alloc_mem((MPI_Aint)bytes, MPI_INFO_NULL, &memory) != MPI_SUCCESS)
    memory = NULL;
  if (memory == NULL) fail("not enough memory");
  memset(memory, 0, bytes);
  return memory;
}
static void free_memory(void* memory) {
  if (from_mpi)
    MPI_Free_mem(memory);
  else
    free(memory);
}

static void measure(const struct Collective* collective, size_t bytes, double budget) {
  const size_t n = bytes / sizeof(float);
  struct Buffers b = {.n = n};
  b.in = get_memory(n * sizeof(float) * (size_t)(collective->blocks_in == 0 ? size : 1) + 64);
  b.out = get_memory(n * sizeof(float) * (size_t)(collective->blocks_out == 0 ? size : 1) + 64);

  const double flags_us = time_flags();
  time_calls(collective, collective->call, &b, 0, kWarmUp);
  if (me == 0) {
    qsort(shared->seconds[0], kWarmUp, sizeof(double), ascending);
    const double wanted = budget / (shared->seconds[0][kWarmUp / 2] + 1e-9);
    shared->calls = wanted < 5 ? 5 : wanted > kMostCalls ? kMostCalls : (int)wanted;
  }
  meet();
  const int calls = shared->calls;
  double idle = 0;
  if (bytes <= 65536) {
    time_calls(collective, call_nothing, &b, kWarmUp, calls);
    if (me == 0) {
      qsort(shared->seconds[0], (size_t)calls, sizeof(double), ascending);
      idle = shared->seconds[0][calls / 2];
    }
    meet();
  }
  time_calls(collective, collective->call, &b, kWarmUp, calls);
  if (me == 0) {
    double* s = shared->seconds[0];
    qsort(s, (size_t)calls, sizeof(double), ascending);
    printf("{\"collective\": \"%s\", \"ranks\": %d, \"bytes\": %zu, \"calls\": %d, \"flags_us\": %.4f, ", collective->name, size,
           bytes, calls, flags_us);
    printf("\"median_us\": %.4f, \"best_us\": %.4f, \"p90_us\": %.4f}\n", 1e6 * (s[calls / 2] - idle), 1e6 * (s[0] - idle),
           1e6 * (s[calls * 9 / 10] - idle));
    fflush(stdout);
  }
  meet();
  free_memory(b.in);
  free_memory(b.out);
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &me);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  spins = size > sysconf(_SC_NPROCESSORS_ONLN) ? 0 : 2000;
  const struct Collective* collective = NULL;
  for (size_t i = 0; argc > 1 && i < sizeof collectives / sizeof *collectives; ++i)
    if (strcmp(argv[1], collectives[i].name) == 0) collective = &collectives[i];
  const size_t least = argc > 2 ? strtoull(argv[2], NULL, 10) : 8, most = argc > 3 ? strtoull(argv[3], NULL, 10) : 64u << 20;
  const double budget = argc > 4 ? atof(argv[4]) / 1000 : 0.05;
  const size_t factor = argc > 5 ? strtoull(argv[5], NULL, 10) : 2;
  from_mpi = argc > 6 && strcmp(argv[6], "alloc_mem") == 0;
  const int from_elsewhere = argc > 6 && !from_mpi && strcmp(argv[6], "malloc") != 0;
  if (collective == NULL || size > kMostRanks || least < 4 || most < least || budget <= 0 || factor < 2 || from_elsewhere) {
    if (me == 0)
      fprintf(stderr,
              "usage: peers COLLECTIVE [MIN_BYTES MAX_BYTES [MILLISECONDS [FACTOR [malloc|alloc_mem [FILE]]]]], among 1 to %d ranks\n",
              kMostRanks);
    MPI_Finalize();
    return 2;
  }
  share(argc > 7 ? argv[7] : NULL);
  if (collective->call == call_barrier)
    measure(collective, 8, budget);
  else
    for (size_t bytes = least; bytes <= most; bytes *= factor) measure(collective, bytes, budget);
  MPI_Finalize();
  return 0;
}
