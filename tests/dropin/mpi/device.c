/* device CASE: buffers in the memory of a GPU, beyond the values (fuzz.c): large ones, and what nobody can do with them. Prints
   "CASE: ok" on rank 0, or says what was wrong. */
#include <mpi.h>
#include <string.h>

#include "device.h"

static int rank, ranks;

static void check(int so, const char* what) {
  if (so) return;
  fprintf(stderr, "rank %d: not so: %s\n", rank, what);
  PMPI_Abort(MPI_COMM_WORLD, 1);
}

/* Of several pieces, with a hole behind each pair of numbers or none. */
static void large(void) {
  const int pairs = 1500000;
  MPI_Datatype pair, holes;
  MPI_Type_contiguous(2, MPI_INT, &pair);
  MPI_Type_create_resized(pair, 0, 3 * sizeof(int), &holes);
  MPI_Type_commit(&pair);
  MPI_Type_commit(&holes);
  const size_t bytes = (size_t)pairs * 3 * sizeof(int);
  int *host = malloc(bytes), *in = device_memory(bytes), *out = device_memory(bytes);

  for (int i = 0; i < 2 * pairs; ++i) host[i] = rank + i;
  to_device(in, host, bytes);
  MPI_Allreduce(in, out, 2 * pairs, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  from_device(host, out, bytes);
  for (int i = 0; i < 2 * pairs; ++i) check(host[i] == ranks * i + ranks * (ranks - 1) / 2, "the sum of large buffers");
  MPI_Allreduce(MPI_IN_PLACE, in, 2 * pairs, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  from_device(host, in, bytes);
  for (int i = 0; i < 2 * pairs; ++i) check(host[i] == i + ranks - 1, "the maximum, in place");

  /* The root's pairs have holes, those of the others have none. */
  for (int i = 0; i < 3 * pairs; ++i) host[i] = rank == 0 ? i : -1;
  to_device(in, host, bytes);
  MPI_Bcast(in, pairs, rank == 0 ? holes : pair, 0, MPI_COMM_WORLD);
  from_device(host, in, bytes);
  for (int i = 0; i < 2 * pairs && rank != 0; ++i) check(host[i] == i / 2 * 3 + i % 2, "pairs with holes arrive without");
  MPI_Bcast(in, pairs, rank == 0 ? pair : holes, 0, MPI_COMM_WORLD);
  from_device(host, in, bytes);
  for (int i = 2; i < 3 * pairs && rank != 0; i += 3)
    check(i >= 2 * pairs ? host[i] == -1 : host[i] == i / 2 * 3 + i % 2, "what lies in holes stays");
  MPI_Type_free(&pair);
  MPI_Type_free(&holes);
  free_device(in), free_device(out);
  free(host);
}

/* The MPI libraries here would reach into the memory with the CPU. */
static void declined(void) {
  int *in = device_memory(sizeof(int)), *out = device_memory(sizeof(int)), one = 1, sum = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  check(MPI_Iallreduce(in, out, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &request) != MPI_SUCCESS, "a nonblocking call is declined");
  check(MPI_Ibcast(in, 1, MPI_INT, 0, MPI_COMM_WORLD, &request) != MPI_SUCCESS, "a nonblocking call is declined");
  check(MPI_Iallreduce(&one, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &request) == MPI_SUCCESS, "the host's memory is MPI's business");
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  check(sum == ranks, "its sum");
  free_device(in), free_device(out);
}

static void one_rank(void) {
  int *in = device_memory(sizeof(int)), *out = device_memory(sizeof(int)), value = 42;
  to_device(in, &value, sizeof value);
  MPI_Allreduce(in, out, 1, MPI_INT, MPI_SUM, MPI_COMM_SELF);
  value = 0;
  from_device(&value, out, sizeof value);
  check(value == 42, "a sum over one rank");
  free_device(in), free_device(out);
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const char* name = argc > 1 ? argv[1] : "";
  find_device();
  if (strcmp(name, "large") == 0) large();
  else if (strcmp(name, "declined") == 0) declined();
  else if (strcmp(name, "one_rank") == 0) one_rank();
  else check(0, "there is such a case");
  if (rank == 0) printf("%s: ok\n", name);
  MPI_Finalize();
  return 0;
}
