/* semantics CASE: what programs may do around collectives, beyond the values (fuzz.c). Ends with status 0 and prints "CASE: ok" on rank
   0, or says what was wrong. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mpi.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int rank, ranks;
static const char* name;

#define CHECK(what)                                                                     \
  do {                                                                                  \
    if (!(what)) {                                                                      \
      fprintf(stderr, "%s: rank %d, line %d: not so: %s\n", name, rank, __LINE__, #what); \
      fflush(stderr);                                                                   \
      PMPI_Abort(MPI_COMM_WORLD, 1);                                                    \
    }                                                                                   \
  } while (0)

static int sum_of(int value, MPI_Comm comm) {
  int sum = 0;
  MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, comm);
  return sum;
}
static int expected_sum(void) { return ranks * (ranks - 1) / 2; }

/* A rank that waits in a collective must do its part in messages that others wait for. */
static void progress(void) {
  const int count = 4 << 20; /* more than any MPI library sends before the other side receives */
  int* data = malloc((size_t)count * sizeof *data);
  const int right = (rank + 1) % ranks, left = (rank + ranks - 1) % ranks;
  for (int round = 0; round < 3; ++round) {
    MPI_Request request;
    if (rank % 2 == 0) {
      for (int i = 0; i < count; ++i) data[i] = i + round;
      MPI_Isend(data, count, MPI_INT, right, 7, MPI_COMM_WORLD, &request);
      if (ranks % 2 == 1 && rank == 0) { /* rank 0 has two even neighbours */
        int* other = malloc((size_t)count * sizeof *other);
        MPI_Recv(other, count, MPI_INT, left, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        CHECK(other[count - 1] == count - 1 + round);
        free(other);
      }
      CHECK(sum_of(rank, MPI_COMM_WORLD) == expected_sum());
      MPI_Wait(&request, MPI_STATUS_IGNORE);
    } else {
      nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL); /* the others are in the collective by now */
      MPI_Recv(data, count, MPI_INT, left, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      CHECK(data[count - 1] == count - 1 + round);
      CHECK(sum_of(rank, MPI_COMM_WORLD) == expected_sum());
    }
  }
  free(data);
  /* and in nonblocking collectives */
  for (int round = 0; round < 20; ++round) {
    MPI_Request request;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    if (rank % 2 == round % 2) {
      CHECK(sum_of(rank, MPI_COMM_WORLD) == expected_sum());
      MPI_Wait(&request, MPI_STATUS_IGNORE);
    } else {
      MPI_Wait(&request, MPI_STATUS_IGNORE);
      CHECK(sum_of(rank, MPI_COMM_WORLD) == expected_sum());
    }
  }
}

/* Messages and collectives on one communicator do not meet. */
static void mixed(void) {
  for (int i = 0; i < 200; ++i) {
    int out = 1000 * i + rank, in = -1;
    MPI_Request requests[2];
    MPI_Irecv(&in, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &requests[0]);
    MPI_Isend(&out, 1, MPI_INT, (rank + 1) % ranks, i, MPI_COMM_WORLD, &requests[1]);
    CHECK(sum_of(i, MPI_COMM_WORLD) == i * ranks);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    CHECK(in == 1000 * i + (rank + ranks - 1) % ranks);
    MPI_Barrier(MPI_COMM_WORLD);
  }
}

/* Communicators come and go; their handles are used again. */
static void communicators(void) {
  for (int i = 0; i < 12; ++i) {
    MPI_Comm some, dup;
    MPI_Comm_split(MPI_COMM_WORLD, i % 3 == 0 ? 0 : rank % 2, i % 2 ? rank : -rank, &some);
    int size;
    MPI_Comm_size(some, &size);
    CHECK(sum_of(1, some) == size);
    MPI_Comm_dup(some, &dup);
    CHECK(sum_of(2, dup) == 2 * size);
    MPI_Comm_free(&some);
    CHECK(sum_of(3, dup) == 3 * size);
    if (i % 2) MPI_Comm_disconnect(&dup);
    else MPI_Comm_free(&dup);
  }
  MPI_Group all, odd;
  int first[] = {0, 1};
  MPI_Comm_group(MPI_COMM_WORLD, &all);
  MPI_Group_incl(all, 2, first, &odd);
  if (rank < 2) {
    MPI_Comm pair;
    MPI_Comm_create_group(MPI_COMM_WORLD, odd, 5, &pair);
    CHECK(sum_of(1, pair) == 2);
    MPI_Comm_free(&pair);
  }
  MPI_Group_free(&odd);
  MPI_Group_free(&all);
  CHECK(sum_of(rank, MPI_COMM_WORLD) == expected_sum());
}

static void intercommunicator(void) {
  MPI_Comm half, inter;
  const int color = rank % 2;
  MPI_Comm_split(MPI_COMM_WORLD, color, rank, &half);
  MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - color, 3, &inter);
  int value = color + 1, sum = 0, remote;
  MPI_Comm_remote_size(inter, &remote);
  MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, inter);
  CHECK(sum == remote * (2 - color)); /* that of the other side */
  value = 77;
  if (color == 0)
    MPI_Bcast(&value, 1, MPI_INT, rank == 0 ? MPI_ROOT : MPI_PROC_NULL, inter);
  else {
    value = 0;
    MPI_Bcast(&value, 1, MPI_INT, 0, inter);
  }
  CHECK(value == 77);
  MPI_Comm_free(&inter);
  MPI_Comm_free(&half);
}

static int handled, handled_class;
static void handler(MPI_Comm* comm, int* code, ...) {
  (void)comm;
  ++handled;
  MPI_Error_class(*code, &handled_class);
}
static int class_of(int code) {
  int c = 0;
  MPI_Error_class(code, &c);
  return c;
}
#define REFUSED(function, ...) CHECK(class_of(MPI_##function(__VA_ARGS__)) == class_of(PMPI_##function(__VA_ARGS__)) && \
                                     MPI_##function(__VA_ARGS__) != MPI_SUCCESS)

/* What a rank can know to be wrong is refused by MPI on that rank, through the error handler; the communicator lives on. */
static void errors(void) {
  MPI_Comm comm;
  MPI_Errhandler own;
  int in = 1, out = 0;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  CHECK(sum_of(1, comm) == ranks);
  MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  REFUSED(Allreduce, &in, &out, -1, MPI_INT, MPI_SUM, comm);
  REFUSED(Allreduce, &in, &out, 1, MPI_DATATYPE_NULL, MPI_SUM, comm);
  REFUSED(Allreduce, &in, &out, 1, MPI_INT, MPI_OP_NULL, comm);
  REFUSED(Bcast, &in, 1, MPI_INT, ranks, comm);
  REFUSED(Bcast, &in, 1, MPI_INT, -7, comm);
  float f = 1, g = 0;
  REFUSED(Allreduce, &f, &g, 1, MPI_FLOAT, MPI_BXOR, comm);
  MPI_Comm_create_errhandler(handler, &own);
  MPI_Comm_set_errhandler(comm, own);
  handled = 0;
  const int code = MPI_Bcast(&in, 1, MPI_INT, ranks + 3, comm);
  CHECK(handled == 1 && handled_class == MPI_ERR_ROOT && code != MPI_SUCCESS);
  CHECK(sum_of(1, comm) == ranks);
  MPI_Errhandler_free(&own);
  MPI_Comm_free(&comm);
  CHECK(sum_of(rank, MPI_COMM_WORLD) == expected_sum());
}

/* A rank that has nothing may say so without a type, where a library lets it. */
static void nothing_to_send(void) {
  int all[64], counts[64], at[64];
  for (int i = 0; i < ranks; ++i) counts[i] = i != 1, at[i] = i, all[i] = -1;
  MPI_Gatherv(&rank, rank != 1, rank != 1 ? MPI_INT : MPI_DATATYPE_NULL, all, counts, at, MPI_INT, 0, MPI_COMM_WORLD);
  for (int i = 0; i < ranks && rank == 0; ++i) CHECK(all[i] == (i == 1 ? -1 : i));
}

/* Blocks that overlap on one rank are its own affair: the others get what they must, and nobody waits. */
static void overlapping(void) {
  int all[64], counts[64], at[64], none[64];
  for (int i = 0; i < ranks; ++i) counts[i] = 1, at[i] = i, none[i] = 0, all[i] = -1;
  MPI_Allgatherv(&rank, 1, MPI_INT, all, counts, rank == 0 ? none : at, MPI_INT, MPI_COMM_WORLD);
  for (int i = 0; i < ranks && rank != 0; ++i) CHECK(all[i] == i);
  CHECK(rank != 0 || (all[0] >= 0 && all[0] < ranks && all[1] == -1));
  CHECK(sum_of(rank, MPI_COMM_WORLD) == expected_sum());
}

/* What a rank sends to itself differs from what it expects of itself: all ranks learn of it. */
static void self_mismatch(void) {
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  CHECK(sum_of(1, comm) == ranks);
  MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  PMPI_Barrier(comm); /* what follows ends all calls on it at once */
  int in[2] = {0}, out[128];
  CHECK(MPI_Allgather(in, rank == 0 ? 1 : 2, MPI_INT, out, 2, MPI_INT, comm) != MPI_SUCCESS || rank != 0);
  CHECK(MPI_Barrier(comm) != MPI_SUCCESS);
  MPI_Comm_free(&comm);
}

/* Ranks that disagree about a size learn of it, through the error handler. */
static void mismatch(void) {
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  CHECK(sum_of(1, comm) == ranks);
  MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  int in[4] = {0}, out[4];
  CHECK(class_of(MPI_Allreduce(in, out, rank == 0 ? 2 : 4, MPI_INT, MPI_SUM, comm)) == MPI_ERR_TRUNCATE);
  CHECK(MPI_Barrier(comm) != MPI_SUCCESS); /* it stays broken */
  MPI_Comm_free(&comm);
}

static MPI_Comm of_thread[4];
static void* in_thread(void* argument) {
  const int t = *(int*)argument;
  for (int i = 0; i < 300; ++i) CHECK(sum_of(t + i, of_thread[t]) == (t + i) * ranks);
  return NULL;
}
static void threads(void) {
  pthread_t thread[4];
  int numbers[4];
  for (int t = 0; t < 4; ++t) MPI_Comm_dup(MPI_COMM_WORLD, &of_thread[t]);
  for (int t = 0; t < 4; ++t) {
    numbers[t] = t;
    CHECK(pthread_create(&thread[t], NULL, in_thread, &numbers[t]) == 0);
  }
  for (int t = 0; t < 4; ++t) pthread_join(thread[t], NULL);
  for (int t = 0; t < 4; ++t) MPI_Comm_free(&of_thread[t]);
}

/* Attributes of MPI_COMM_SELF are deleted while collectives still work. */
static int at_finalize(MPI_Comm comm, int key, void* value, void* extra) {
  (void)comm, (void)key, (void)value, (void)extra;
  CHECK(sum_of(rank, MPI_COMM_WORLD) == expected_sum());
  return MPI_SUCCESS;
}
static void finalize(void) {
  int early, late;
  MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, at_finalize, &early, NULL);
  MPI_Comm_set_attr(MPI_COMM_SELF, early, NULL);
  CHECK(sum_of(rank, MPI_COMM_WORLD) == expected_sum());
  MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, at_finalize, &late, NULL);
  MPI_Comm_set_attr(MPI_COMM_SELF, late, NULL);
}

static void large_counts(void) {
#if MPI_VERSION >= 4
  int in = 2, out = 0;
  MPI_Count counts[64];
  MPI_Aint at[64];
  int all[64];
  MPI_Allreduce_c(&in, &out, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  CHECK(out == 2 * ranks);
  for (int i = 0; i < ranks; ++i) counts[i] = 1, at[i] = ranks - 1 - i;
  MPI_Allgatherv_c(&rank, 1, MPI_INT, all, counts, at, MPI_INT, MPI_COMM_WORLD);
  for (int i = 0; i < ranks; ++i) CHECK(all[ranks - 1 - i] == i);
  MPI_Gatherv_c(&rank, 1, MPI_INT, all, rank == 0 ? counts : NULL, rank == 0 ? at : NULL, MPI_INT, 0, MPI_COMM_WORLD);
  MPI_Bcast_c(&out, 1, MPI_INT, 0, MPI_COMM_WORLD);
#endif
}

/* What is the MPI library's to do goes on among collectives that are served, and waits for no other rank before it must. */
static void requests(void) {
  MPI_Request pending[2];
  int sum = 0, token = 5, neighbours[2];
  if (rank == 1) MPI_Recv(&token, 1, MPI_INT, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Iallreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &pending[0]);
  MPI_Ibarrier(MPI_COMM_WORLD, &pending[1]);
  if (rank == 0) MPI_Send(&token, 1, MPI_INT, 1, 1, MPI_COMM_WORLD);
  CHECK(sum_of(1, MPI_COMM_WORLD) == ranks);
  MPI_Waitall(2, pending, MPI_STATUSES_IGNORE);
  CHECK(sum == expected_sum());
#if MPI_VERSION >= 4 || OMPI_MAJOR_VERSION >= 5
  int value = 0;
  MPI_Allreduce_init(&value, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, MPI_INFO_NULL, &pending[0]);
  for (value = 1; value < 4; ++value) {
    MPI_Start(&pending[0]);
    MPI_Wait(&pending[0], MPI_STATUS_IGNORE);
    CHECK(sum == value * ranks);
  }
  MPI_Request_free(&pending[0]);
#endif
  const int periodic = 1, left = (rank + ranks - 1) % ranks, right = (rank + 1) % ranks;
  MPI_Comm ring;
  MPI_Cart_create(MPI_COMM_WORLD, 1, &ranks, &periodic, 0, &ring);
  MPI_Neighbor_allgather(&rank, 1, MPI_INT, neighbours, 1, MPI_INT, ring);
  CHECK(neighbours[0] == left && neighbours[1] == right);

  /* Large forms, also beside libraries that have none. */
  typedef int Gather(const void*, MPI_Count, MPI_Datatype, void*, const MPI_Count*, const MPI_Aint*, MPI_Datatype, MPI_Comm, MPI_Request*);
  typedef int Exchange(const void*, const MPI_Count*, const MPI_Aint*, MPI_Datatype, void*, const MPI_Count*, const MPI_Aint*, MPI_Datatype, MPI_Comm);
  typedef int Bcast(void*, MPI_Count, MPI_Datatype, int, MPI_Comm, MPI_Request*);
  Gather* gather;
  Exchange* exchange;
  Bcast* bcast;
  *(void**)&gather = dlsym(RTLD_DEFAULT, "MPI_Iallgatherv_c");
  *(void**)&exchange = dlsym(RTLD_DEFAULT, "MPI_Neighbor_alltoallv_c");
  *(void**)&bcast = dlsym(RTLD_DEFAULT, "MPI_Ibcast_c");
  CHECK(gather && exchange && bcast);
  MPI_Count counts[64];
  MPI_Aint at[64], swapped[] = {1, 0};
  int all[64], both[] = {10 * rank, 10 * rank + 1};
  for (int i = 0; i < ranks; ++i) counts[i] = 1, at[i] = ranks - 1 - i;
  gather(&rank, 1, MPI_INT, all, counts, at, MPI_INT, MPI_COMM_WORLD, &pending[0]);
  MPI_Wait(&pending[0], MPI_STATUS_IGNORE);
  for (int i = 0; i < ranks; ++i) CHECK(all[ranks - 1 - i] == i);
  exchange(both, counts, swapped, MPI_INT, neighbours, counts, swapped, MPI_INT, ring);
  CHECK(neighbours[1] == 10 * left && neighbours[0] == 10 * right + 1);
  MPI_Comm_free(&ring);
#ifdef OPEN_MPI
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  CHECK(class_of(bcast(&sum, (MPI_Count)1 << 40, MPI_INT, 0, MPI_COMM_WORLD, &pending[0])) == MPI_ERR_COUNT);
#endif
  CHECK(sum_of(rank, MPI_COMM_WORLD) == expected_sum());
}

/* A child that ends by exit() takes nothing of its parent's with it. */
static void forked(void) {
  CHECK(sum_of(1, MPI_COMM_WORLD) == ranks);
  fflush(NULL);
  for (int i = 0; i < 3; ++i) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) exit(0);
    for (int k = 0; k < 50; ++k) CHECK(sum_of(k, MPI_COMM_WORLD) == k * ranks); /* while it ends */
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(sum_of(rank, MPI_COMM_WORLD) == expected_sum());
  }
}

/* One rank gets no shared memory from the system, or no socket. */
static void without(unsigned call, unsigned error) {
  if (rank == 1) {
    struct sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
                                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
                                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const struct sock_fprog filter = {sizeof program / sizeof *program, program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
      fprintf(stderr, "this system permits no seccomp filter\n");
  }
  for (int i = 0; i < 20; ++i) CHECK(sum_of(i, MPI_COMM_WORLD) == i * ranks);
  MPI_Comm part; /* the rank is in one of them only */
  MPI_Comm_split(MPI_COMM_WORLD, rank == ranks - 1, rank, &part);
  CHECK(sum_of(1, part) == (rank == ranks - 1 ? 1 : ranks - 1));
  MPI_Comm_free(&part);
}
static void memory_refused(void) { without(SYS_memfd_create, EPERM); }
static void memory_full(void) { without(SYS_fallocate, ENOSPC); }
static void no_socket(void) { without(SYS_socket, EMFILE); }

/* Whether tutti has allocated what begins here. */
static int is_of_tutti(const void* memory) {
  char wanted[32], line[512];
  int found = 0;
  FILE* maps = fopen("/proc/self/maps", "r");
  snprintf(wanted, sizeof wanted, "%lx-", (unsigned long)memory);
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
    found |= strncmp(line, wanted, strlen(wanted)) == 0 && strstr(line, "tutti-memory") != NULL;
  if (maps != NULL) fclose(maps);
  return found;
}

/* Memory of any size, from MPI and from elsewhere, on every rank as it likes. */
static void memory(void) {
  static const MPI_Aint sizes[] = {0, 1, 16383, 16384, 100000, 3000000};
  MPI_Info info;
  MPI_Info_create(&info);
  for (int round = 0; round < 30; ++round)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; ++s) {
      const int n = (int)(sizes[s] / (MPI_Aint)sizeof(int));
      int *in = NULL, *out = malloc((size_t)sizes[s] + 1);
      CHECK(MPI_Alloc_mem(sizes[s], round % 3 == 2 ? info : MPI_INFO_NULL, &in) == MPI_SUCCESS && (in != NULL || n == 0));
      CHECK(is_of_tutti(in) == (sizes[s] >= 16384 && round % 3 != 2));
      for (int i = 0; i < n; ++i) in[i] = rank * (i + round);
      MPI_Allreduce(in, out, n, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
      for (int i = 0; i < n; ++i) CHECK(out[i] == expected_sum() * (i + round));
      MPI_Allreduce(MPI_IN_PLACE, in, n, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
      for (int i = 0; i < n; ++i) CHECK(in[i] == expected_sum() * (i + round));
      if (rank == 1) for (int i = 0; i < n; ++i) in[i] = i;
      MPI_Bcast(rank % 2 == 0 ? out : in, n, MPI_INT, 1, MPI_COMM_WORLD);
      for (int i = 0; i < n; ++i) CHECK((rank % 2 == 0 ? out : in)[i] == i);
      CHECK(n == 0 || MPI_Free_mem(in) == MPI_SUCCESS);
      free(out);
    }
  MPI_Info_free(&info);
}

static void nothing(void) {}

int main(int argc, char** argv) {
  static const struct { const char* name; void (*run)(void); } cases[] = {
      {"progress", progress}, {"mixed", mixed}, {"communicators", communicators}, {"intercommunicator", intercommunicator},
      {"errors", errors}, {"mismatch", mismatch}, {"threads", threads}, {"finalize", finalize}, {"large_counts", large_counts},
      {"nothing_to_send", nothing_to_send}, {"overlapping", overlapping}, {"self_mismatch", self_mismatch}, {"requests", requests}, {"forked", forked}, {"memory_refused", memory_refused}, {"memory_full", memory_full}, {"no_socket", no_socket}, {"memory", memory}, {"nothing", nothing}};
  int provided;
  name = argc > 1 ? argv[1] : "";
  MPI_Init_thread(&argc, &argv, strcmp(name, "threads") == 0 ? MPI_THREAD_MULTIPLE : MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  int found = 0;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
    if (strcmp(cases[i].name, name) == 0) {
      found = 1;
      if (strcmp(name, "threads") != 0 || provided == MPI_THREAD_MULTIPLE) cases[i].run();
    }
  CHECK(found);
  MPI_Finalize();
  if (rank == 0) printf("%s: ok\n", name);
  return 0;
}
