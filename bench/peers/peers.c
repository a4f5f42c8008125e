// One collective of MPI, timed the same way whatever serves it; `peers --help` lists the options.
//
// Before each call every rank meets the others at a barrier of this program's own (a line of shared memory for each rank), which
// they leave at the same time by the clock, so that nothing but the call is measured. A call takes as long as its slowest rank.
// Every result is checked, and then that call's input is rewritten for the call which uses the same memory next: with hot caches
// the next one, with cold caches one so much later that other buffers have taken its place in the caches. Prints a line of JSON
// for each size: the median, the best and the 90th percentile over the calls, in microseconds, less what an empty call measures;
// and what a bare exchange of flags took just before, which tells how close the cores are now.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <stdarg.h>
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

struct Options {
  const struct Collective* collective;
  size_t min_bytes, max_bytes, factor;
  double seconds;  // that a size is timed, about
  int from_mpi, in_place, cold;
  size_t cold_bytes;
  const char* file;
};

static struct Options options = {.min_bytes = 8, .max_bytes = 64u << 20, .factor = 2, .seconds = 0.05, .cold_bytes = 64u << 20};
static struct Shared* shared;
static double written[kMostCalls];  // this rank's seconds of writing its input anew after each call
static int me, size;
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

static int ascending(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

// Microseconds for each rank to write its line and see those of all others: the median of some series, as a rank may lose its
// core.
static double time_flags(void) {
  enum { kSeries = 9, kExchanges = 25 };
  double us[kSeries];
  meet();
  unsigned long epoch = atomic_load_explicit(&shared->ranks[me].arrived, memory_order_relaxed);
  for (int series = 0; series < kSeries; ++series) {
    const double start = now();
    for (int i = 0; i < kExchanges; ++i) {
      atomic_store_explicit(&shared->ranks[me].arrived, ++epoch, memory_order_release);
      for (int r = 0; r < size; ++r)
        for (unsigned looks = 0; atomic_load_explicit(&shared->ranks[r].arrived, memory_order_acquire) < epoch; ++looks)
          if (looks >= spins) sched_yield();
    }
    us[series] = 1e6 * (now() - start) / kExchanges;
  }
  meet();
  qsort(us, kSeries, sizeof(double), ascending);
  return us[kSeries / 2];
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

// What one call works on. In place the input lies where the output will.
struct Buffers {
  float *in, *out;
  size_t n;  // elements that a rank gives
};

static const void* input(const struct Buffers* b) { return options.in_place ? MPI_IN_PLACE : b->in; }

// Rank r's element i of call c.
static float value(int r, int c, size_t i) { return (float)(c % 7 + r + (int)(i & 15)); }

struct Collective {
  const char* name;
  int blocks_in, blocks_out;  // of n elements; 0: one for each rank
  int has_in_place;
  int (*call)(const struct Buffers*);
  float (*expected)(int c, size_t i, size_t n);
};

static int call_nothing(const struct Buffers* b) {
  (void)b;
  return MPI_SUCCESS;
}
static int call_allreduce(const struct Buffers* b) {
  return MPI_Allreduce(input(b), b->out, (int)b->n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}
static int call_allgather(const struct Buffers* b) {
  return MPI_Allgather(input(b), (int)b->n, MPI_FLOAT, b->out, (int)b->n, MPI_FLOAT, MPI_COMM_WORLD);
}
static int call_reduce_scatter(const struct Buffers* b) {
  return MPI_Reduce_scatter_block(input(b), b->out, (int)b->n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}
static int call_alltoall(const struct Buffers* b) {
  return MPI_Alltoall(input(b), (int)b->n, MPI_FLOAT, b->out, (int)b->n, MPI_FLOAT, MPI_COMM_WORLD);
}
static int call_bcast(const struct Buffers* b) { return MPI_Bcast(b->out, (int)b->n, MPI_FLOAT, 0, MPI_COMM_WORLD); }
static int call_reduce(const struct Buffers* b) {
  return MPI_Reduce(me == 0 ? input(b) : b->in, me == 0 ? b->out : NULL, (int)b->n, MPI_FLOAT, MPI_SUM, 0, MPI_COMM_WORLD);
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
    {"allreduce", 1, 1, 1, call_allreduce, expect_sum},
    {"allgather", 1, 0, 1, call_allgather, expect_blocks},
    {"reduce_scatter", 0, 1, 1, call_reduce_scatter, expect_my_sum},
    {"alltoall", 0, 0, 1, call_alltoall, expect_my_blocks},
    {"bcast", 1, 1, 0, call_bcast, expect_root},
    {"reduce", 1, 1, 1, call_reduce, expect_sum},
    {"barrier", 1, 1, 0, call_barrier, NULL},
};
enum { kCollectives = sizeof collectives / sizeof *collectives };

static size_t elements_of(int blocks, size_t n) { return n * (size_t)(blocks == 0 ? size : blocks); }

// The memory of all calls: one set of buffers, or many that the calls use in turn.
struct Memory {
  float *in, *out;  // no `in` where input and output are one
  size_t n;
  size_t sets, in_stride, out_stride;  // a power of two; elements from one set to the next
};

static void* get_memory(size_t bytes) {
  void* memory = NULL;
  if (!options.from_mpi)
    memory = malloc(bytes);
  else if (MPI_Alloc_mem((MPI_Aint)bytes, MPI_INFO_NULL, &memory) != MPI_SUCCESS)
    memory = NULL;
  if (memory == NULL) fail("not enough memory");
  memset(memory, 0, bytes);
  return memory;
}
static void free_memory(void* memory) {
  if (options.from_mpi)
    MPI_Free_mem(memory);
  else
    free(memory);
}

// Whole cache lines, and one between a set and the next.
static size_t stride(size_t elements) {
  enum { kLine = 64 / sizeof(float) };
  return (elements + kLine - 1) / kLine * kLine + kLine;
}

static struct Memory get_sets(size_t n) {
  const struct Collective* c = options.collective;
  const size_t in = elements_of(c->blocks_in, n), out = elements_of(c->blocks_out, n);
  const int apart = c->has_in_place && !options.in_place;
  struct Memory m = {.n = n, .sets = 1, .in_stride = apart ? stride(in) : 0, .out_stride = stride(apart || out > in ? out : in)};
  const size_t bytes = (m.in_stride + m.out_stride) * sizeof(float);
  while (options.cold && (m.sets < 2 || m.sets * bytes <= options.cold_bytes)) m.sets *= 2;
  if (apart) m.in = get_memory(m.sets * m.in_stride * sizeof(float));
  m.out = get_memory(m.sets * m.out_stride * sizeof(float));
  return m;
}
static void free_sets(const struct Memory* m) {
  if (m->in != NULL) free_memory(m->in);
  free_memory(m->out);
}

static struct Buffers buffers_of(const struct Memory* m, int c) {
  const size_t step = 2654435761u;  // odd, so that all sets have their turn; large, so that no prefetcher sees which is next
  const size_t set = (size_t)c * step % m->sets;
  struct Buffers b = {.out = m->out + set * m->out_stride, .n = m->n};
  b.in = m->in != NULL ? m->in + set * m->in_stride : b.out;
  if (options.in_place && options.collective->call == call_allgather) b.in += (size_t)me * m->n;
  return b;
}

static void write_input(const struct Memory* m, int c) {
  const struct Buffers b = buffers_of(m, c);
  const size_t elements = elements_of(options.collective->blocks_in, m->n);
  for (size_t i = 0; i < elements; ++i) b.in[i] = value(me, c, i);
}

static void check(const struct Buffers* b, int c) {
  const struct Collective* collective = options.collective;
  if (collective->expected == NULL || (collective->call == call_reduce && me != 0)) return;
  const size_t elements = elements_of(collective->blocks_out, b->n);
  for (size_t i = 0; i < elements; ++i) {
    if (b->out[i] == collective->expected(c, i, b->n)) continue;
    fprintf(stderr, "peers: rank %d: %s of %zu elements: element %zu is %g instead of %g\n", me, collective->name, b->n, i,
            b->out[i], collective->expected(c, i, b->n));
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
}

// The slowest rank's seconds of each call, left in shared->seconds[0] of rank 0, ascending.
static void time_calls(int (*call)(const struct Buffers*), const struct Memory* m, int first, int calls) {
  for (int c = first; c < first + calls; ++c) {
    const struct Buffers b = buffers_of(m, c);
    meet();
    const double start = now();
    if (call(&b) != MPI_SUCCESS) fail("the call failed");
    shared->seconds[me][c - first] = now() - start;
    meet();  // who is done leaves its core to the others until they are
    if (call != call_nothing) check(&b, c);
    const double before = now();
    write_input(m, c + (int)m->sets);
    written[c - first] = now() - before;
  }
  meet();
  for (int c = 0; me == 0 && c < calls; ++c)
    for (int r = 1; r < size; ++r)
      if (shared->seconds[r][c] > shared->seconds[0][c]) shared->seconds[0][c] = shared->seconds[r][c];
  if (me == 0) qsort(shared->seconds[0], (size_t)calls, sizeof(double), ascending);
  qsort(written, (size_t)calls, sizeof(double), ascending);
  meet();
}

// `warm_up`: seconds of the first calls, all together, in which connections are made and buffers are adopted.
static void report(size_t bytes, const struct Memory* m, int calls, double flags_us, double idle, double warm_up) {
  const double* s = shared->seconds[0];
  printf("{\"collective\": \"%s\", \"ranks\": %d, \"place\": \"%s\", \"caches\": \"%s\", \"sets\": %zu, ",
         options.collective->name, size, options.in_place ? "in_place" : "out_of_place", options.cold ? "cold" : "hot", m->sets);
  printf("\"bytes\": %zu, \"calls\": %d, \"flags_us\": %.4f, ", bytes, calls, flags_us);
  printf("\"median_us\": %.4f, \"best_us\": %.4f, \"p90_us\": %.4f, ", 1e6 * (s[calls / 2] - idle), 1e6 * (s[0] - idle),
         1e6 * (s[calls * 9 / 10] - idle));
  printf("\"write_us\": %.4f, \"beginning_us\": %.4f}\n", 1e6 * written[calls / 2], 1e6 * (warm_up - kWarmUp * s[calls / 2]));
  fflush(stdout);
}

static void measure(size_t bytes) {
  const struct Memory m = get_sets(bytes / sizeof(float));
  for (int c = 0; c < (int)m.sets; ++c) write_input(&m, c);

  const double flags_us = time_flags();
  int done = 0;
  time_calls(options.collective->call, &m, done, kWarmUp);
  done += kWarmUp;
  double warm_up = 0;
  for (int c = 0; c < kWarmUp; ++c) warm_up += shared->seconds[0][c];
  if (me == 0) {
    const double wanted = options.seconds / (shared->seconds[0][kWarmUp / 2] + 1e-9);
    shared->calls = wanted < 5 ? 5 : wanted > kMostCalls ? kMostCalls : (int)wanted;
  }
  meet();
  const int calls = shared->calls;
  double idle = 0;
  if (bytes <= 65536) {
    time_calls(call_nothing, &m, done, calls);
    done += calls;
    if (me == 0) idle = shared->seconds[0][calls / 2];
  }
  time_calls(options.collective->call, &m, done, calls);
  if (me == 0) report(bytes, &m, calls, flags_us, idle, warm_up);
  meet();
  free_sets(&m);
}

static void usage(void) {
  printf("usage: peers COLLECTIVE [OPTIONS], among 1 to %d ranks\ncollectives:", kMostRanks);
  for (int i = 0; i < kCollectives; ++i) printf(" %s", collectives[i].name);
  printf(
      "\n"
      "  --min-bytes N       smallest size, in bytes that a rank gives (8)\n"
      "  --max-bytes N       largest size (67108864)\n"
      "  --factor N          from a size to the next (2)\n"
      "  --milliseconds N    that a size is timed, about (50)\n"
      "  --memory KIND       where buffers come from: malloc (default) or alloc_mem, which is MPI_Alloc_mem\n"
      "  --place PLACE       out_of_place (default) or in_place, which is MPI_IN_PLACE; bcast and barrier have no such thing\n"
      "  --caches STATE      hot (default): all calls use the same buffers; cold: they use many in turn\n"
      "  --cold-bytes N      with cold caches, each rank's buffers have more than N bytes together (67108864)\n"
      "  --file FILE         that all ranks can map; without it they share memory by its name\n");
}

// Ends all ranks, which have the same command line.
static void refuse(const char* format, ...) {
  va_list values;
  va_start(values, format);
  if (me == 0) {
    fprintf(stderr, "peers: ");
    vfprintf(stderr, format, values);
    fprintf(stderr, "; see peers --help\n");
  }
  va_end(values);
  MPI_Finalize();
  exit(2);
}

static size_t number(const char* option, const char* text, size_t least, size_t most) {
  char* end = NULL;
  errno = 0;
  const unsigned long long n = strtoull(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || n < least || n > most)
    refuse("--%s '%s' is not a number from %zu to %zu", option, text, least, most);
  return (size_t)n;
}

static double milliseconds(const char* text) {
  char* end = NULL;
  const double n = strtod(text, &end);
  if (end == text || *end != '\0' || !(n > 0 && n <= 1e6)) refuse("--milliseconds '%s' is not above 0 and up to 1000000", text);
  return n;
}

// Whether it is the second of two.
static int second(const char* option, const char* text, const char* one, const char* two) {
  if (strcmp(text, one) != 0 && strcmp(text, two) != 0) refuse("--%s '%s' is neither %s nor %s", option, text, one, two);
  return strcmp(text, two) == 0;
}

static void choose_collective(const char* name) {
  if (options.collective != NULL) refuse("'%s' comes after the collective '%s'", name, options.collective->name);
  for (int i = 0; i < kCollectives; ++i)
    if (strcmp(name, collectives[i].name) == 0) options.collective = &collectives[i];
  if (options.collective == NULL) refuse("there is no collective '%s'", name);
}

enum { kHelp = 'a', kMinBytes, kMaxBytes, kFactor, kMilliseconds, kFrom, kPlace, kCaches, kColdBytes, kFile };
static const struct option names[] = {{"help", 0, NULL, kHelp},
                                      {"min-bytes", 1, NULL, kMinBytes},
                                      {"max-bytes", 1, NULL, kMaxBytes},
                                      {"factor", 1, NULL, kFactor},
                                      {"milliseconds", 1, NULL, kMilliseconds},
                                      {"memory", 1, NULL, kFrom},
                                      {"place", 1, NULL, kPlace},
                                      {"caches", 1, NULL, kCaches},
                                      {"cold-bytes", 1, NULL, kColdBytes},
                                      {"file", 1, NULL, kFile},
                                      {NULL, 0, NULL, 0}};

// `word`: what was given, for errors.
static void take(int option, const char* word) {
  const size_t most = (size_t)INT_MAX * sizeof(float);  // MPI counts in int
  switch (option) {
    case 1:
      choose_collective(optarg);
      break;
    case kMinBytes:
      options.min_bytes = number("min-bytes", optarg, sizeof(float), most);
      break;
    case kMaxBytes:
      options.max_bytes = number("max-bytes", optarg, sizeof(float), most);
      break;
    case kFactor:
      options.factor = number("factor", optarg, 2, 1u << 20);
      break;
    case kMilliseconds:
      options.seconds = milliseconds(optarg) / 1000;
      break;
    case kFrom:
      options.from_mpi = second("memory", optarg, "malloc", "alloc_mem");
      break;
    case kPlace:
      options.in_place = second("place", optarg, "out_of_place", "in_place");
      break;
    case kCaches:
      options.cold = second("caches", optarg, "hot", "cold");
      break;
    case kColdBytes:
      options.cold_bytes = number("cold-bytes", optarg, 1, most);
      break;
    case kFile:
      options.file = optarg;
      break;
    case ':':
      refuse("%s lacks its value", word);
      break;
    default:
      refuse("unknown or ambiguous option %s", word);
  }
}

static void parse(int argc, char** argv) {
  opterr = 0;
  for (;;) {
    const char* word = argv[optind < argc ? optind : argc - 1];
    const int option = getopt_long(argc, argv, "-:", names, NULL);
    if (option == -1) break;
    if (option == kHelp) {
      if (me == 0) usage();
      MPI_Finalize();
      exit(0);
    }
    take(option, word);
  }
  if (optind < argc) choose_collective(argv[optind]);
  if (options.collective == NULL) refuse("a collective is wanted");
  if (options.max_bytes < options.min_bytes)
    refuse("--max-bytes %zu is less than --min-bytes %zu", options.max_bytes, options.min_bytes);
  if (options.in_place && !options.collective->has_in_place)
    refuse("--place in_place: MPI has no %s in place", options.collective->name);
  if (size > kMostRanks) refuse("%d ranks are more than %d", size, kMostRanks);
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &me);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  parse(argc, argv);
  spins = size > sysconf(_SC_NPROCESSORS_ONLN) ? 0 : 2000;
  share(options.file);
  if (options.collective->call == call_barrier)
    measure(sizeof(double));
  else
    for (size_t bytes = options.min_bytes; bytes <= options.max_bytes; bytes *= options.factor) measure(bytes);
  MPI_Finalize();
  return 0;
}
