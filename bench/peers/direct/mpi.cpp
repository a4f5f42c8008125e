#include "mpi.h"

#include <tutti/communicator.h>
#include <tutti/memory.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace {

std::optional<tutti::Communicator> world;

int run(tutti::Collective collective, const void* in, void* out, int count, MPI_Datatype type, int root = 0) {
  const tutti::DataType types[] = {tutti::DataType::u8, tutti::DataType::u8, tutti::DataType::f32};
  const tutti::Status done = world->run({.collective = collective,
                                         .input = in,
                                         .output = out,
                                         .count = static_cast<std::uint64_t>(count),
                                         .type = types[type],
                                         .root = root});
  if (done) return MPI_SUCCESS;
  std::fprintf(stderr, "%s\n", done.error().to_string().c_str());
  return MPI_ERR_OTHER;
}

// This rank's of all ranks' blocks.
float* my_block(void* blocks, int count) {
  return static_cast<float*>(blocks) + static_cast<std::size_t>(world->rank()) * static_cast<std::size_t>(count);
}

const void* input(const void* in, const void* where_in_place) { return in == MPI_IN_PLACE ? where_in_place : in; }

}  // namespace

extern "C" {

const void* const MPI_IN_PLACE = &world;

int MPI_Init(int* /*argc*/, char*** /*argv*/) {
  auto made = tutti::Communicator::from_environment();
  if (!made) {
    std::fprintf(stderr, "%s\n", made.error().to_string().c_str());
    std::exit(1);
  }
  world.emplace(std::move(*made));
  return MPI_SUCCESS;
}
int MPI_Finalize(void) {
  world.reset();
  return MPI_SUCCESS;
}
int MPI_Abort(MPI_Comm /*comm*/, int status) { std::exit(status); }
int MPI_Alloc_mem(MPI_Aint size, MPI_Info /*info*/, void* pointer) {
  auto memory = tutti::allocate(static_cast<std::size_t>(size));
  if (!memory) return MPI_ERR_OTHER;
  *static_cast<void**>(pointer) = memory->release();
  return MPI_SUCCESS;
}
int MPI_Free_mem(void* memory) { return tutti::deallocate(memory) ? MPI_SUCCESS : MPI_ERR_OTHER; }
int MPI_Comm_rank(MPI_Comm /*comm*/, int* rank) {
  *rank = world->rank();
  return MPI_SUCCESS;
}
int MPI_Comm_size(MPI_Comm /*comm*/, int* size) {
  *size = world->size();
  return MPI_SUCCESS;
}
int MPI_Barrier(MPI_Comm /*comm*/) { return run(tutti::Collective::barrier, nullptr, nullptr, 0, MPI_BYTE); }
int MPI_Bcast(void* data, int count, MPI_Datatype type, int root, MPI_Comm /*comm*/) {
  return run(tutti::Collective::broadcast, data, data, count, type, root);
}
int MPI_Reduce(const void* in, void* out, int count, MPI_Datatype type, MPI_Op /*op*/, int root, MPI_Comm /*comm*/) {
  return run(tutti::Collective::reduce, input(in, out), out, count, type, root);
}
int MPI_Allreduce(const void* in, void* out, int count, MPI_Datatype type, MPI_Op /*op*/, MPI_Comm /*comm*/) {
  return run(tutti::Collective::all_reduce, input(in, out), out, count, type);
}
int MPI_Reduce_scatter_block(const void* in, void* out, int count, MPI_Datatype type, MPI_Op /*op*/, MPI_Comm /*comm*/) {
  if (in != MPI_IN_PLACE) return run(tutti::Collective::reduce_scatter, in, out, count, type);
  // MPI wants the result at the start of the buffer, tutti at this rank's block.
  float* result = my_block(out, count);
  const int status = run(tutti::Collective::reduce_scatter, out, result, count, type);
  if (result != out) std::memcpy(out, result, static_cast<std::size_t>(count) * sizeof(float));
  return status;
}
int MPI_Allgather(const void* in, int count, MPI_Datatype type, void* out, int /*out_count*/, MPI_Datatype /*out_type*/,
                  MPI_Comm /*comm*/) {
  return run(tutti::Collective::all_gather, input(in, my_block(out, count)), out, count, type);
}
int MPI_Alltoall(const void* in, int count, MPI_Datatype type, void* out, int /*out_count*/, MPI_Datatype /*out_type*/,
                 MPI_Comm /*comm*/) {
  return run(tutti::Collective::all_to_all, input(in, out), out, count, type);
}
}
