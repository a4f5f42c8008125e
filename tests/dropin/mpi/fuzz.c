/* fuzz SEED CASES [device] [verbose]: random collectives, each done by MPI_X (which may be interposed), with types of many layouts, and by
   PMPI_X (the MPI library), on the same values one after the other, which every MPI library gets right. The results must be equal,
   and no byte between the elements of a result may have changed. Values are such that sums and products of floats are exact in any
   order. All ranks draw what they must agree on from one sequence, and what each may do as it likes (layouts, displacements) from
   their own. With "device", MPI_X finds each buffer, by chance, in the memory of a GPU. */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

typedef struct { uint64_t state; } Random;
static Random shared, own;
static int next(Random* r, int below) {
  r->state = r->state * 6364136223846793005u + 1442695040888963407u;
  return (int)((r->state >> 33) % (uint64_t)below);
}

static char story[512];
static int world_rank, verbose;
static long number;
static uint64_t seed;

static void die(const char* what) {
  fprintf(stderr, "fuzz: seed %llu case %ld rank %d: %s: %s\n", (unsigned long long)seed, number, world_rank, story, what);
  fflush(stderr);
  PMPI_Abort(MPI_COMM_WORLD, 1);
}

/* ---- types: `group` basic elements in one of several layouts */

enum Fill { small_integers, small_floats, ones_and_twos, truth, any_bytes };
typedef struct { MPI_Datatype type; int size; enum Fill fill; int is_float; } Basic;
typedef struct { MPI_Datatype type; int derived; MPI_Aint extent, lb, span; int size; } Type;

static Type describe(MPI_Datatype type, int derived) {
  Type t = {type, derived, 0, 0, 0, 0};
  MPI_Aint lb, true_lb, true_extent;
  PMPI_Type_get_extent(type, &lb, &t.extent);
  PMPI_Type_get_true_extent(type, &true_lb, &true_extent);
  PMPI_Type_size(type, &t.size);
  t.lb = true_lb;
  t.span = true_extent;
  return t;
}

/* Every layout has the signature of `group` elements of the basic type. */
static Type make_type(MPI_Datatype basic, int group, int layout) {
  MPI_Datatype t, inner;
  MPI_Aint lb, extent;
  if (layout == 0 && group == 1) return describe(basic, 0);
  PMPI_Type_get_extent(basic, &lb, &extent);
  switch (layout) {
    case 0:
    case 1: PMPI_Type_contiguous(group, basic, &t); break;
    case 2: PMPI_Type_vector(group, 1, 2, basic, &t); break;
    case 3: /* holes after the last one, too */
      PMPI_Type_vector(group, 1, 3, basic, &inner);
      PMPI_Type_create_resized(inner, 0, extent * (3 * group + 2), &t);
      PMPI_Type_free(&inner);
      break;
    case 4: { /* backwards: dense, but in another order */
      int lengths[8];
      MPI_Aint at[8];
      for (int i = 0; i < group; ++i) lengths[i] = 1, at[i] = (group - 1 - i) * extent;
      PMPI_Type_create_hindexed(group, lengths, at, basic, &t);
      break;
    }
    default: { /* begins after its address */
      int lengths[8];
      MPI_Aint at[8];
      for (int i = 0; i < group; ++i) lengths[i] = 1, at[i] = (2 * i + 3) * extent;
      PMPI_Type_create_hindexed(group, lengths, at, basic, &inner);
      PMPI_Type_create_resized(inner, 0, extent * (2 * group + 4), &t);
      PMPI_Type_free(&inner);
    }
  }
  PMPI_Type_commit(&t);
  return describe(t, 1);
}

static void free_type(Type* t) {
  if (t->derived) PMPI_Type_free(&t->type);
}

/* ---- buffers */

typedef struct { MPI_Aint offset; int count; Type type; } Block;
typedef struct { unsigned char *memory, *at; size_t bytes; } Buffer;

static Buffer new_buffer(size_t bytes, Random* r) {
  Buffer b = {malloc(bytes + 64), NULL, bytes + 64};
  for (size_t i = 0; i < b.bytes; ++i) b.memory[i] = (unsigned char)next(r, 256);
  b.at = b.memory + 32;
  return b;
}
static Buffer copy_of(Buffer from) {
  Buffer b = {malloc(from.bytes), NULL, from.bytes};
  memcpy(b.memory, from.memory, b.bytes);
  b.at = b.memory + 32;
  return b;
}

/* Values of basic elements, packed. */
static void draw_values(unsigned char* out, long elements, const Basic* b) {
  for (long i = 0; i < elements; ++i, out += b->size) {
    const int v = b->fill == ones_and_twos ? 1 + next(&own, 8) / 7 : b->fill == truth ? next(&own, 2) : next(&own, 9) - (b->is_float ? 4 : 0);
    memset(out, 0, (size_t)b->size);
    if (b->fill == any_bytes) {
      for (int k = 0; k < b->size; ++k) out[k] = (unsigned char)next(&own, 256);
    } else if (b->type == MPI_FLOAT) {
      const float f = (float)v;
      memcpy(out, &f, sizeof f);
    } else if (b->type == MPI_DOUBLE) {
      const double f = v;
      memcpy(out, &f, sizeof f);
    } else if (b->type == MPI_LONG_DOUBLE) {
      const long double f = v;
      memcpy(out, &f, sizeof f);
    } else if (b->type == MPI_C_DOUBLE_COMPLEX) {
      const double f[2] = {v, 0};
      memcpy(out, f, sizeof f);
    } else if (b->type == MPI_DOUBLE_INT) {
      const double f = v;
      const int index = next(&own, 5);
      memcpy(out, &f, sizeof f);
      memcpy(out + sizeof f, &index, sizeof index);
    } else if (b->type == MPI_2INT) {
      const int p[2] = {v, next(&own, 5)};
      memcpy(out, p, sizeof p);
    } else {
      out[0] = (unsigned char)v; /* little endian */
    }
  }
}

static void fill_block(unsigned char* buffer, Block b, const Basic* basic) {
  const int bytes = b.count * b.type.size;
  unsigned char* packed = malloc((size_t)bytes + 1);
  int position = 0;
  draw_values(packed, bytes / basic->size, basic);
  if (bytes > 0) PMPI_Unpack(packed, bytes, &position, buffer + b.offset, b.count, b.type.type, MPI_COMM_SELF);
  free(packed);
}

static long packed_bytes(const Block* blocks, int n) {
  long bytes = 0;
  for (int i = 0; i < n; ++i) bytes += (long)blocks[i].count * blocks[i].type.size;
  return bytes;
}

/* All blocks one after the other. */
static unsigned char* pack(Buffer from, const Block* blocks, int n) {
  unsigned char *packed = calloc(1, (size_t)packed_bytes(blocks, n) + 1), *at = packed;
  for (int i = 0; i < n; ++i) {
    const int bytes = blocks[i].count * blocks[i].type.size;
    int position = 0;
    if (bytes > 0) PMPI_Pack(from.at + blocks[i].offset, blocks[i].count, blocks[i].type.type, at, bytes, &position, MPI_COMM_SELF);
    at += bytes;
  }
  return packed;
}

static void unpack(unsigned char* packed, Buffer to, Block block) {
  int position = 0;
  if (block.count > 0)
    PMPI_Unpack(packed, block.count * block.type.size, &position, to.at + block.offset, block.count, block.type.type, MPI_COMM_SELF);
  free(packed);
}

/* Ours holds the expected values in the blocks (the first `significant` bytes of every `unit`), and what it held before everywhere else. */
static void compare(Buffer ours, const unsigned char* expected, Buffer before, const Block* blocks, int n, int unit, int significant) {
  unsigned char* packed = pack(ours, blocks, n);
  const long bytes = packed_bytes(blocks, n);
  for (long i = 0; i < bytes; ++i)
    if (packed[i] != expected[i] && i % unit < significant) {
      char what[160];
      snprintf(what, sizeof what, "packed byte %ld of %ld is %d, not %d", i, bytes, packed[i], expected[i]);
      die(what);
    }
  long at = 0;
  for (int i = 0; i < n; ++i) {
    const int block = blocks[i].count * blocks[i].type.size;
    int position = 0;
    if (block > 0) PMPI_Unpack(packed + at, block, &position, before.at + blocks[i].offset, blocks[i].count, blocks[i].type.type, MPI_COMM_SELF);
    at += block;
  }
  for (size_t i = 0; i < ours.bytes; ++i)
    if (ours.memory[i] != before.memory[i]) {
      char what[160];
      snprintf(what, sizeof what, "byte %ld, outside of the result, has changed", (long)i - 32);
      die(what);
    }
  free(packed);
}

static void release(Buffer b) { free(b.memory); }

/* Where MPI_X finds a buffer. */
static int devices;
static Buffer lend(Buffer b) {
  if (!devices || next(&own, 4) == 0) return b;
  Buffer there = {device_memory(b.bytes), NULL, b.bytes};
  there.at = there.memory + (b.at - b.memory);
  to_device(there.memory, b.memory, b.bytes);
  return there;
}
static void take_back(Buffer there, Buffer b) {
  if (there.memory == b.memory) return;
  from_device(b.memory, there.memory, b.bytes);
  free_device(there.memory);
}

/* ---- operators of our own, on pairs of 32-bit numbers: x -> a x + b modulo a prime; composing them does not commute */

static void compose(void* in, void* inout, int* count, MPI_Datatype* type) {
  MPI_Aint lb, extent;
  int size;
  PMPI_Type_get_extent(*type, &lb, &extent);
  PMPI_Type_size(*type, &size);
  (void)size;
  MPI_Aint true_lb, true_extent;
  PMPI_Type_get_true_extent(*type, &true_lb, &true_extent);
  const int step = true_extent == 8 ? 4 : (int)true_extent - 4;
  for (int i = 0; i < *count; ++i) {
    unsigned char *x = (unsigned char*)in + i * extent + true_lb, *y = (unsigned char*)inout + i * extent + true_lb;
    uint32_t a1, b1, a2, b2;
    memcpy(&a1, x, 4), memcpy(&b1, x + step, 4), memcpy(&a2, y, 4), memcpy(&b2, y + step, 4);
    const uint32_t a = (uint32_t)((uint64_t)a1 * a2 % 65521), b = (uint32_t)(((uint64_t)b1 * a2 + b2) % 65521);
    memcpy(y, &a, 4), memcpy(y + step, &b, 4);
  }
}
static void add(void* in, void* inout, int* count, MPI_Datatype* type) {
  MPI_Aint lb, extent, true_lb, true_extent;
  PMPI_Type_get_extent(*type, &lb, &extent);
  PMPI_Type_get_true_extent(*type, &true_lb, &true_extent);
  const int step = true_extent == 8 ? 4 : (int)true_extent - 4;
  for (int i = 0; i < *count; ++i)
    for (int k = 0; k < 2; ++k) {
      unsigned char *x = (unsigned char*)in + i * extent + true_lb + k * step;
      unsigned char *y = (unsigned char*)inout + i * extent + true_lb + k * step;
      uint32_t a, b;
      memcpy(&a, x, 4), memcpy(&b, y, 4);
      b += a;
      memcpy(y, &b, 4);
    }
}
static MPI_Op composing, adding;

/* ---- a case */

static int draw_count(void) {
  static const int counts[] = {0, 1, 1, 2, 3, 5, 8, 17, 64, 100, 257, 1000};
  return next(&shared, 40) == 0 ? 4000 + next(&shared, 9000) : counts[next(&shared, 12)];
}

static Basic draw_moved(void) {
  const Basic all[] = {{MPI_BYTE, 1, any_bytes, 0}, {MPI_SHORT, 2, any_bytes, 0}, {MPI_INT, 4, any_bytes, 0}, {MPI_DOUBLE, 8, any_bytes, 0},
                       {MPI_DOUBLE_INT, 12, any_bytes, 0}, {MPI_CHAR, 1, any_bytes, 0}};
  return all[next(&shared, 6)];
}

static MPI_Comm* communicators;
static int communicator_count;

enum { kMostRanks = 16 };
enum Moves { bcast, gather, gatherv, scatter, scatterv, allgather, allgatherv, alltoall, alltoallv, alltoallw, kMoves };
static const char* const move_names[] = {"Bcast", "Gather", "Gatherv", "Scatter", "Scatterv", "Allgather", "Allgatherv", "Alltoall", "Alltoallv", "Alltoallw"};

/* Blocks of `counts` elements in some order with gaps; returns the bytes that they need. */
static size_t lay_out(Block* blocks, const int* counts, int n, const Type* types, int in_bytes, int* displacements) {
  int order[kMostRanks];
  for (int i = 0; i < n; ++i) order[i] = i;
  for (int i = n - 1; i > 0; --i) {
    const int j = next(&own, i + 1), t = order[i];
    order[i] = order[j], order[j] = t;
  }
  MPI_Aint at = 0;
  for (int k = 0; k < n; ++k) {
    const int i = order[k];
    const Type* t = &types[i];
    MPI_Aint units = in_bytes ? 1 : t->extent;
    if (next(&own, 2)) at += 8 * t->extent * next(&own, 3);
    at = (at + units - 1) / units * units;
    displacements[i] = (int)(at / units);
    blocks[i] = (Block){at, counts[i], *t};
    at += (counts[i] + 1) * t->extent + t->lb + t->span;
  }
  return (size_t)at + 64;
}

static void moving_case(MPI_Comm comm, int rank, int ranks) {
  const enum Moves move = (enum Moves)next(&shared, kMoves);
  const Basic basic = draw_moved();
  const int group = 1 + next(&shared, 4), root = next(&shared, ranks);
  const int in_place_drawn = next(&shared, 3) == 0;
  const int at_root = rank == root;
  int in_place = in_place_drawn;
  if (move == bcast) in_place = 0;
  if (move == gather || move == gatherv || move == scatter || move == scatterv) in_place = in_place && at_root;
  const int count = draw_count() / (ranks > 4 ? 4 : 1);
  int matrix[kMostRanks][kMostRanks]; /* [from][to] */
  for (int i = 0; i < ranks; ++i)
    for (int j = 0; j < ranks; ++j) matrix[i][j] = next(&shared, 4) == 0 ? 0 : next(&shared, 1 + count);
  if (in_place && move >= alltoallv) /* then both directions are equal */
    for (int i = 0; i < ranks; ++i)
      for (int j = 0; j < i; ++j) matrix[i][j] = matrix[j][i];
  snprintf(story, sizeof story, "MPI_%s of %d ranks, count %d, group %d of size %d, root %d%s", move_names[move], ranks, count, group, basic.size, root,
           in_place ? ", in place" : "");
  if (verbose) fprintf(stderr, "%ld rank %d: %s\n", number, world_rank, story);

  Type in_types[kMostRanks], out_types[kMostRanks];
  MPI_Datatype in_handles[kMostRanks], out_handles[kMostRanks];
  const int one_in = next(&own, 6), one_out = next(&own, 6);
  for (int i = 0; i < ranks; ++i) {
    in_types[i] = make_type(basic.type, group, move == alltoallw ? next(&own, 6) : one_in);
    out_types[i] = make_type(basic.type, group, move == alltoallw ? next(&own, 6) : one_out);
    in_handles[i] = in_types[i].type;
    out_handles[i] = out_types[i].type;
    if (move != alltoallw && i > 0) { /* one for all */
      free_type(&in_types[i]), free_type(&out_types[i]);
      in_types[i] = in_types[0], out_types[i] = out_types[0];
    }
  }

  /* What this rank sends to, and receives from, each rank; uniform collectives have one block of all. */
  Block in[kMostRanks], out[kMostRanks];
  int in_counts[kMostRanks], out_counts[kMostRanks], in_at[kMostRanks], out_at[kMostRanks], ins = 1, outs = 1;
  const int many_in = move == scatter || move == alltoall, many_out = move == gather || move == allgather || move == alltoall;
  in[0] = (Block){0, many_in ? count * ranks : count, in_types[0]};
  out[0] = (Block){0, many_out ? count * ranks : count, out_types[0]};
  size_t in_bytes = 0, out_bytes = 0;
  for (int i = 0; i < ranks; ++i) in_counts[i] = out_counts[i] = 0;
  switch (move) {
    case gatherv:
    case allgatherv:
      for (int i = 0; i < ranks; ++i) out_counts[i] = matrix[i][0];
      in[0].count = matrix[rank][0];
      outs = ranks;
      break;
    case scatterv:
      for (int i = 0; i < ranks; ++i) in_counts[i] = matrix[0][i];
      out[0].count = matrix[0][rank];
      ins = ranks;
      break;
    case alltoallv:
    case alltoallw:
      for (int i = 0; i < ranks; ++i) in_counts[i] = matrix[rank][i], out_counts[i] = matrix[i][rank];
      ins = outs = ranks;
      break;
    default: break;
  }
  if (ins > 1 || move == scatterv || move >= alltoallv) in_bytes = lay_out(in, in_counts, ranks, in_types, move == alltoallw, in_at);
  if (outs > 1 || move == gatherv || move == allgatherv || move >= alltoallv)
    out_bytes = lay_out(out, out_counts, ranks, out_types, move == alltoallw, out_at);
  if (in_bytes == 0) in_bytes = (size_t)((in[0].count + 1) * in_types[0].extent + in_types[0].lb + in_types[0].span);
  if (out_bytes == 0) out_bytes = (size_t)((out[0].count + 1) * out_types[0].extent + out_types[0].lb + out_types[0].span);

  Buffer input = new_buffer(in_bytes, &own), output = new_buffer(out_bytes, &own);
  for (int i = 0; i < ins; ++i) fill_block(input.at, in[i], &basic);
  for (int i = 0; i < outs; ++i) fill_block(output.at, out[i], &basic); /* the input, where it is in place */
  Buffer before = copy_of(output), input_before = copy_of(input);
  const int size = in_types[0].size, sc = in[0].count, rc = out[0].count;
  const MPI_Datatype st = in_types[0].type, rt = out_types[0].type;
  Buffer in_lent = lend(input), out_lent = lend(output);
  void *send = in_place ? MPI_IN_PLACE : in_lent.at, *receive = in_place ? MPI_IN_PLACE : out_lent.at;

  unsigned char *values = pack(input, in, ins), *result = pack(output, out, outs); /* what the MPI library works on */
  int from_bytes[kMostRanks], from_at[kMostRanks], to_bytes[kMostRanks], to_at[kMostRanks];
  MPI_Datatype bytes[kMostRanks];
  for (int i = 0, a = 0, b = 0; i < ranks; ++i) {
    bytes[i] = MPI_BYTE;
    from_bytes[i] = in_counts[i] * size, to_bytes[i] = out_counts[i] * size;
    from_at[i] = a, to_at[i] = b;
    a += from_bytes[i], b += to_bytes[i];
  }
  int sent = sc * size;
  unsigned char* from = values;
  if (in_place && move != scatter && move != scatterv) { /* for the library, never: some libraries fail in it */
    free(values);
    from = values = pack(output, out, outs);
    if (move == gather || move == allgather) sent = count * size, from += rank * sent;
    if (move == gatherv || move == allgatherv) sent = to_bytes[rank], from += to_at[rank];
    memcpy(from_bytes, to_bytes, sizeof from_bytes);
    memcpy(from_at, to_at, sizeof from_at);
  }
  int results = outs;
  switch (move) {
    case bcast:
      PMPI_Bcast(result, rc * size, MPI_BYTE, root, comm);
      MPI_Bcast(out_lent.at, rc, rt, root, comm);
      break;
    case gather:
      PMPI_Gather(from, sent, MPI_BYTE, result, count * size, MPI_BYTE, root, comm);
      MPI_Gather(send, sc, st, out_lent.at, count, rt, root, comm);
      if (!at_root) results = 0;
      break;
    case gatherv:
      PMPI_Gatherv(from, sent, MPI_BYTE, result, to_bytes, to_at, MPI_BYTE, root, comm);
      MPI_Gatherv(send, sc, st, out_lent.at, out_counts, out_at, rt, root, comm);
      if (!at_root) results = 0;
      break;
    case scatter:
      PMPI_Scatter(values, count * size, MPI_BYTE, result, rc * size, MPI_BYTE, root, comm);
      MPI_Scatter(in_lent.at, count, st, receive, rc, rt, root, comm);
      if (in_place) results = 0;
      break;
    case scatterv:
      PMPI_Scatterv(values, from_bytes, from_at, MPI_BYTE, result, rc * size, MPI_BYTE, root, comm);
      MPI_Scatterv(in_lent.at, in_counts, in_at, st, receive, rc, rt, root, comm);
      if (in_place) results = 0;
      break;
    case allgather:
      PMPI_Allgather(from, sent, MPI_BYTE, result, count * size, MPI_BYTE, comm);
      MPI_Allgather(send, sc, st, out_lent.at, count, rt, comm);
      break;
    case allgatherv:
      PMPI_Allgatherv(from, sent, MPI_BYTE, result, to_bytes, to_at, MPI_BYTE, comm);
      MPI_Allgatherv(send, sc, st, out_lent.at, out_counts, out_at, rt, comm);
      break;
    case alltoall:
      PMPI_Alltoall(from, count * size, MPI_BYTE, result, count * size, MPI_BYTE, comm);
      MPI_Alltoall(send, count, st, out_lent.at, count, rt, comm);
      break;
    case alltoallv:
      PMPI_Alltoallv(from, from_bytes, from_at, MPI_BYTE, result, to_bytes, to_at, MPI_BYTE, comm);
      MPI_Alltoallv(send, in_counts, in_at, st, out_lent.at, out_counts, out_at, rt, comm);
      break;
    case alltoallw:
      PMPI_Alltoallw(from, from_bytes, from_at, bytes, result, to_bytes, to_at, bytes, comm);
      MPI_Alltoallw(send, in_counts, in_at, in_handles, out_lent.at, out_counts, out_at, out_handles, comm);
      break;
    case kMoves: break;
  }
  take_back(in_lent, input), take_back(out_lent, output);
  compare(output, result, before, out, results, 1, 1);
  if (memcmp(input.memory, input_before.memory, input.bytes) != 0) die("the input has changed");
  release(input), release(output), release(before), release(input_before);
  free(values), free(result);
  for (int i = 0; i < (move == alltoallw ? ranks : 1); ++i) free_type(&in_types[i]), free_type(&out_types[i]);
}

enum Reductions { allreduce, reduce, reduce_scatter_block, reduce_scatter, scan, exscan, kReductions };
static const char* const reduction_names[] = {"Allreduce", "Reduce", "Reduce_scatter_block", "Reduce_scatter", "Scan", "Exscan"};

typedef struct { Basic basic; MPI_Op op; int group; } Operation;
static Operation draw_operation(void) {
  const Operation all[] = {
      {{MPI_INT, 4, small_integers, 0}, MPI_SUM, 1},        {{MPI_INT, 4, any_bytes, 0}, MPI_MAX, 1},
      {{MPI_LONG, 8, any_bytes, 0}, MPI_MIN, 1},            {{MPI_UNSIGNED, 4, any_bytes, 0}, MPI_BXOR, 1},
      {{MPI_SHORT, 2, any_bytes, 0}, MPI_BAND, 1},          {{MPI_UNSIGNED_CHAR, 1, any_bytes, 0}, MPI_BOR, 1},
      {{MPI_SIGNED_CHAR, 1, ones_and_twos, 0}, MPI_SUM, 1}, {{MPI_INT, 4, truth, 0}, MPI_LAND, 1},
      {{MPI_INT, 4, small_integers, 0}, MPI_LXOR, 1},       {{MPI_C_BOOL, 1, truth, 0}, MPI_LOR, 1},
      {{MPI_FLOAT, 4, small_floats, 1}, MPI_SUM, 1},        {{MPI_FLOAT, 4, small_floats, 1}, MPI_MAX, 1},
      {{MPI_DOUBLE, 8, small_floats, 1}, MPI_SUM, 1},       {{MPI_DOUBLE, 8, ones_and_twos, 1}, MPI_PROD, 1},
      {{MPI_LONG_DOUBLE, 16, small_floats, 1}, MPI_SUM, 1}, {{MPI_C_DOUBLE_COMPLEX, 16, small_floats, 1}, MPI_SUM, 1},
      {{MPI_DOUBLE_INT, 12, small_floats, 1}, MPI_MINLOC, 1}, {{MPI_2INT, 8, small_integers, 0}, MPI_MAXLOC, 1},
      {{MPI_BYTE, 1, any_bytes, 0}, MPI_BXOR, 1},           {{MPI_AINT, 8, small_integers, 0}, MPI_SUM, 1},
      {{MPI_UNSIGNED, 4, small_integers, 0}, composing, 2}, {{MPI_UNSIGNED, 4, small_integers, 0}, adding, 2},
      {{MPI_UNSIGNED, 4, small_integers, 0}, composing, 2}, {{MPI_INT64_T, 8, small_integers, 0}, MPI_PROD, 1},
  };
  return all[next(&shared, (int)(sizeof all / sizeof *all))];
}

static void reducing_case(MPI_Comm comm, int rank, int ranks) {
  const enum Reductions kind = (enum Reductions)next(&shared, kReductions);
  const Operation o = draw_operation();
  const int root = next(&shared, ranks), count = draw_count();
  static const int layouts[] = {0, 1, 2, 3, 5};
  const int layout = o.group == 1 ? 0 : layouts[next(&shared, 5)];
  int in_place = next(&shared, 3) == 0;
  if (kind == reduce && rank != root) in_place = 0;
  int counts[kMostRanks], sum = 0;
  for (int i = 0; i < ranks; ++i) counts[i] = next(&shared, 3) == 0 ? 0 : next(&shared, 1 + count), sum += counts[i];
  Type type = make_type(o.basic.type, o.group, layout);
  const int in_count = kind == reduce_scatter_block ? count * ranks : kind == reduce_scatter ? sum : count;
  const int out_count = kind == reduce_scatter ? counts[rank] : count;
  snprintf(story, sizeof story, "MPI_%s of %d ranks, count %d, group %d of size %d, layout %d, root %d%s", reduction_names[kind], ranks, count, o.group,
           o.basic.size, layout, root, in_place ? ", in place" : "");
  if (verbose) fprintf(stderr, "%ld rank %d: %s\n", number, world_rank, story);
  const size_t bytes = (size_t)((in_count + 1) * type.extent + type.lb + type.span);
  Buffer input = new_buffer(bytes, &own), output = new_buffer(bytes, &own);
  const Block in = {0, in_count, type}, out = {0, out_count, type};
  fill_block(input.at, in, &o.basic);
  fill_block(output.at, in, &o.basic);
  Buffer before = copy_of(output), input_before = copy_of(input);
  Buffer in_lent = lend(input), out_lent = lend(output);
  void* send = in_place ? MPI_IN_PLACE : in_lent.at;

  /* What the MPI library works on: the same values as elements without holes (but for those of pairs). */
  Type plain = make_type(o.basic.type, o.group, 0);
  const Block plain_in = {0, in_count, plain}, plain_out = {0, out_count, plain};
  Buffer values = new_buffer((size_t)((in_count + 1) * plain.extent), &own), result = new_buffer((size_t)((in_count + 1) * plain.extent), &own);
  unpack(pack(in_place ? output : input, &in, 1), values, plain_in); /* never in place: some libraries fail in it */
  switch (kind) {
    case allreduce:
      PMPI_Allreduce(values.at, result.at, count, plain.type, o.op, comm);
      MPI_Allreduce(send, out_lent.at, count, type.type, o.op, comm);
      break;
    case reduce:
      PMPI_Reduce(values.at, result.at, count, plain.type, o.op, root, comm);
      MPI_Reduce(send, out_lent.at, count, type.type, o.op, root, comm);
      break;
    case reduce_scatter_block:
      PMPI_Reduce_scatter_block(values.at, result.at, count, plain.type, o.op, comm);
      MPI_Reduce_scatter_block(send, out_lent.at, count, type.type, o.op, comm);
      break;
    case reduce_scatter:
      PMPI_Reduce_scatter(values.at, result.at, counts, plain.type, o.op, comm);
      MPI_Reduce_scatter(send, out_lent.at, counts, type.type, o.op, comm);
      break;
    case scan:
      PMPI_Scan(values.at, result.at, count, plain.type, o.op, comm);
      MPI_Scan(send, out_lent.at, count, type.type, o.op, comm);
      break;
    case exscan:
      PMPI_Exscan(values.at, result.at, count, plain.type, o.op, comm);
      MPI_Exscan(send, out_lent.at, count, type.type, o.op, comm);
      break;
    case kReductions: break;
  }
  take_back(in_lent, input), take_back(out_lent, output);
  const int has_result = (kind != reduce || rank == root) && (kind != exscan || rank != 0);
  unsigned char* expected = pack(result, &plain_out, 1);
  compare(output, expected, before, &out, has_result, o.basic.size, o.basic.type == MPI_LONG_DOUBLE ? 10 : o.basic.size);
  if (memcmp(input.memory, input_before.memory, input.bytes) != 0) die("the input has changed");
  release(input), release(output), release(before), release(input_before), release(values), release(result);
  free(expected);
  free_type(&plain);
  free_type(&type);
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
  for (int i = 3; i < argc; ++i) {
    if (strcmp(argv[i], "device") == 0) devices = 1;
    if (strcmp(argv[i], "verbose") == 0) verbose = 1;
  }
  if (devices) find_device();
  const long cases = argc > 2 ? atol(argv[2]) : 1000;
  int ranks;
  MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  MPI_Op_create(compose, 0, &composing);
  MPI_Op_create(add, 1, &adding);
  MPI_Comm comms[4];
  communicators = comms;
  comms[communicator_count++] = MPI_COMM_WORLD;
  MPI_Comm_split(MPI_COMM_WORLD, 0, -world_rank, &comms[communicator_count++]);             /* backwards */
  MPI_Comm_split(MPI_COMM_WORLD, world_rank % 2, world_rank, &comms[communicator_count++]); /* halves */
  MPI_Comm_dup(MPI_COMM_WORLD, &comms[communicator_count++]);
  const int halves = 2;
  shared.state = seed;
  own.state = seed * 1000003u + (uint64_t)world_rank;
  for (number = 0; number < cases; ++number) {
    const int which = next(&shared, communicator_count), moving = next(&shared, 2);
    int rank, size;
    MPI_Comm_rank(comms[which], &rank);
    MPI_Comm_size(comms[which], &size);
    Random before = shared;
    if (size == 1 && !devices)
      ; /* left to the MPI library */
    else if (moving)
      moving_case(comms[which], rank, size);
    else
      reducing_case(comms[which], rank, size);
    if (which == halves) { /* of different sizes, perhaps: what they drew is forgotten */
      shared = before;
      for (int i = 0; i < 97; ++i) next(&shared, 2);
    }
    if (next(&shared, 10) == 0) MPI_Barrier(comms[which]);
  }
  for (int i = 1; i < communicator_count; ++i) MPI_Comm_free(&comms[i]);
  MPI_Op_free(&composing);
  MPI_Op_free(&adding);
  if (world_rank == 0) printf("fuzz: seed %llu: %ld cases, %d ranks: equal\n", (unsigned long long)seed, cases, ranks);
  MPI_Finalize();
  return 0;
}
