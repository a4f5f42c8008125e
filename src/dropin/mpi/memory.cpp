// MPI_Alloc_mem gives memory that the other ranks of the host can map, so that large messages need not be copied on their way.
#include "tutti/memory.h"

#include "mpi/abi.h"
#include "mpi/attached.h"

namespace tutti::mpi {
namespace {

int alloc_mem(Aint size, Handle info, void* pointer) {
  // What is small gains nothing, and what an info asks for only the MPI library can tell.
  if (size >= static_cast<Aint>(kLeastMapped) && willing() && abi().cut(info) == abi().info_null)
    if (auto memory = allocate(static_cast<std::size_t>(size))) {
      *static_cast<void**>(pointer) = memory->release();
      return kSuccess;
    }
  return pmpi::alloc_mem(size, info, pointer);
}

int free_mem(void* memory) { return deallocate(memory) ? kSuccess : pmpi::free_mem(memory); }

}  // namespace
}  // namespace tutti::mpi

extern "C" {

using tutti::mpi::Aint;
using tutti::mpi::Handle;

int MPI_Alloc_mem(Aint size, Handle info, void* pointer) { return tutti::mpi::alloc_mem(size, info, pointer); }
int MPI_Free_mem(void* memory) { return tutti::mpi::free_mem(memory); }

}  // extern "C"
