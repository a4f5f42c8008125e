/* Starts a case on ranks that are processes, threads, or all of one thread: PROGRAM processes|threads|one_thread RANKS CASE. (Or
   one rank, which is started elsewhere: PROGRAM rank RANKS CASE RANK ID.) Ends with status 0 and prints "CASE: ok", or says what
   was wrong. To be included once, by a program that defines cases[]. */
#ifndef WORLD_H
#define WORLD_H

#include <nccl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kMostRanks = 8 };

/* What one thread sees: the ranks that are its own. */
struct world {
  const char* mode;
  int ranks;
  int locals; /* 1, or all */
  int first;  /* rank of the first local */
  ncclComm_t comms[kMostRanks];
};

struct test_case {
  const char* name;
  void (*run)(struct world*);
  int by_itself; /* makes its communicators, from world_id */
};
extern const struct test_case cases[];

static const char* case_name = "?";
static ncclUniqueId world_id;
static int threads_run;

#define CHECK(what)                                                                                                      \
  do {                                                                                                                   \
    if (!(what)) {                                                                                                       \
      fprintf(stderr, "%s: line %d: not so: %s (last error: %s)\n", case_name, __LINE__, #what, ncclGetLastError(NULL)); \
      fflush(stderr);                                                                                                    \
      _exit(1);                                                                                                          \
    }                                                                                                                    \
  } while (0)
#define OK(call) CHECK((call) == ncclSuccess)
/* It fails so, and the last error holds the words; that is one of the process, and may be another thread's. */
#define FAILS(call, result, words)                                       \
  do {                                                                   \
    CHECK((call) == (result));                                           \
    CHECK(threads_run || strstr(ncclGetLastError(NULL), words) != NULL); \
  } while (0)

static inline void sleep_ms(int ms) { nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL); }

static inline double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline int alone_in_process(const struct world* w) { return strcmp(w->mode, "processes") == 0; }

static void make_comms(struct world* w) {
  OK(ncclGroupStart());
  for (int i = 0; i < w->locals; ++i) OK(ncclCommInitRank(&w->comms[i], w->ranks, world_id, w->first + i));
  OK(ncclGroupEnd());
  for (int i = 0; i < w->locals; ++i) {
    int rank = -1, count = -1;
    OK(ncclCommUserRank(w->comms[i], &rank));
    OK(ncclCommCount(w->comms[i], &count));
    CHECK(rank == w->first + i && count == w->ranks);
  }
}

/* A file in TMPDIR that only these ranks know. */
static inline void path_for(char path[200], const char* what, int a, int b, int c) {
  char id[2 * NCCL_UNIQUE_ID_BYTES + 1];
  for (int i = 0; i < NCCL_UNIQUE_ID_BYTES; ++i) sprintf(id + 2 * i, "%02x", (unsigned char)world_id.internal[i]);
  snprintf(path, 200, "%.100s/%s.%.16s.%d.%d.%d", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp", what, id + 240, a, b, c);
}
/* `to` goes on when `from` has come to the same stage. By files, for ranks of all kinds. */
static inline void pass(const struct world* w, int from, int to, int stage) {
  char path[200];
  path_for(path, "stage", stage, from, to);
  if (w->first == from) fclose(fopen(path, "w"));
  while (w->first == to && remove(path) != 0) sleep_ms(5);
}
/* What `from` has there, on all ranks that call it, too; once. */
static inline void share(const struct world* w, int from, void* data, size_t size) {
  char path[200], hidden[200];
  path_for(path, "shared", from, 0, 0);
  path_for(hidden, "hidden", from, 0, 0);
  FILE* file = w->first == from ? fopen(hidden, "wb") : fopen(path, "rb");
  for (; file == NULL; file = fopen(path, "rb")) sleep_ms(5);
  CHECK((w->first == from ? fwrite(data, size, 1, file) : fread(data, size, 1, file)) == 1);
  fclose(file);
  CHECK(w->first != from || rename(hidden, path) == 0);
}
/* Rank 0 goes on when all others have, which do not wait for it; the others when rank 0 has. */
static inline void after_the_others(const struct world* w, int stage) {
  for (int r = 1; r < w->ranks; ++r) pass(w, r, 0, stage);
}
static inline void after_rank_0(const struct world* w, int stage) {
  for (int r = 1; r < w->ranks; ++r) pass(w, 0, r, stage);
}

static const struct test_case* find_case(void) {
  for (const struct test_case* c = cases; c->name != NULL; ++c)
    if (strcmp(c->name, case_name) == 0) return c;
  fprintf(stderr, "there is no case %s\n", case_name);
  _exit(2);
}

static void* run_world(void* of) {
  struct world* w = of;
  const struct test_case* c = find_case();
  if (!c->by_itself) make_comms(w);
  c->run(w);
  if (!c->by_itself)
    for (int i = 0; i < w->locals; ++i) OK(ncclCommDestroy(w->comms[i]));
  return NULL;
}

static int run_threads(const char* mode, int ranks) {
  pthread_t threads[kMostRanks];
  struct world worlds[kMostRanks];
  OK(ncclGetUniqueId(&world_id));
  threads_run = 1;
  for (int r = 0; r < ranks; ++r) {
    worlds[r] = (struct world){.mode = mode, .ranks = ranks, .locals = 1, .first = r};
    CHECK(pthread_create(&threads[r], NULL, run_world, &worlds[r]) == 0);
  }
  for (int r = 0; r < ranks; ++r) pthread_join(threads[r], NULL);
  return 0;
}

static void hex_to_id(const char* text) {
  for (int i = 0; i < NCCL_UNIQUE_ID_BYTES; ++i) {
    unsigned byte = 0;
    CHECK(sscanf(text + 2 * i, "%2x", &byte) == 1);
    world_id.internal[i] = (char)byte;
  }
}

static void id_to_hex(char* text) {
  for (int i = 0; i < NCCL_UNIQUE_ID_BYTES; ++i) sprintf(text + 2 * i, "%02x", (unsigned char)world_id.internal[i]);
}

/* A rank that kills itself is what a case has in mind; all others must end well. */
static int run_processes(char* program, int ranks) {
  char id[2 * NCCL_UNIQUE_ID_BYTES + 1], size[16], rank[16];
  pid_t pids[kMostRanks];
  OK(ncclGetUniqueId(&world_id));
  id_to_hex(id);
  sprintf(size, "%d", ranks);
  for (int r = 0; r < ranks; ++r) {
    sprintf(rank, "%d", r);
    if ((pids[r] = fork()) == 0) {
      execl(program, program, "rank", size, case_name, rank, id, (char*)NULL);
      _exit(127);
    }
  }
  int bad = 0;
  for (int r = 0; r < ranks; ++r) {
    int status = 0;
    waitpid(pids[r], &status, 0);
    const int killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!killed && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
      fprintf(stderr, "%s: rank %d ended with status %x\n", case_name, r, status);
      bad = 1;
    }
  }
  return bad;
}

/* An id for ranks that are started elsewhere, served until nothing more can be read. */
static int make_id(void) {
  char id[2 * NCCL_UNIQUE_ID_BYTES + 1];
  OK(ncclGetUniqueId(&world_id));
  id_to_hex(id);
  printf("%s\n", id);
  fflush(stdout);
  while (getchar() != EOF) continue;
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "id") == 0) return make_id();
  if (argc < 4) return 2;
  const char* mode = argv[1];
  const int ranks = atoi(argv[2]);
  case_name = argv[3];
  int status = 0;
  if (strcmp(mode, "rank") == 0) {
    struct world w = {.mode = "processes", .ranks = ranks, .locals = 1, .first = atoi(argv[4])};
    if (strcmp(argv[5], "-") == 0)
      OK(ncclGetUniqueId(&world_id)); /* NCCL_COMM_ID */
    else
      hex_to_id(argv[5]);
    run_world(&w);
    return 0;
  }
  if (strcmp(mode, "processes") == 0) {
    status = run_processes(argv[0], ranks);
  } else if (strcmp(mode, "threads") == 0) {
    status = run_threads(mode, ranks);
  } else {
    struct world w = {.mode = mode, .ranks = ranks, .locals = ranks, .first = 0};
    OK(ncclGetUniqueId(&world_id));
    run_world(&w);
  }
  if (status == 0) printf("%s: ok\n", case_name);
  return status;
}

#endif
