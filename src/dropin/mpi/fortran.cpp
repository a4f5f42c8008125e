// The names that Fortran programs call. Open MPI's own go straight to PMPI_*, whatever is preloaded, for mpif.h and `use mpi`
// (mpi_bcast_) as for `use mpi_f08` (mpi_bcast_f08_); those of MPICH call MPI_*, and are left to do so.
#include <dlfcn.h>

#include <algorithm>
#include <vector>

#include "mpi/narrow.h"

using tutti::mpi::Handle;

extern "C" {

int MPI_Barrier(Handle);
int MPI_Bcast(void*, int, Handle, int, Handle);
int MPI_Gather(const void*, int, Handle, void*, int, Handle, int, Handle);
int MPI_Gatherv(const void*, int, Handle, void*, const int*, const int*, Handle, int, Handle);
int MPI_Scatter(const void*, int, Handle, void*, int, Handle, int, Handle);
int MPI_Scatterv(const void*, const int*, const int*, Handle, void*, int, Handle, int, Handle);
int MPI_Allgather(const void*, int, Handle, void*, int, Handle, Handle);
int MPI_Allgatherv(const void*, int, Handle, void*, const int*, const int*, Handle, Handle);
int MPI_Alltoall(const void*, int, Handle, void*, int, Handle, Handle);
int MPI_Alltoallv(const void*, const int*, const int*, Handle, void*, const int*, const int*, Handle, Handle);
int MPI_Alltoallw(const void*, const int*, const int*, const void*, void*, const int*, const int*, const void*, Handle);
int MPI_Reduce(const void*, void*, int, Handle, Handle, int, Handle);
int MPI_Allreduce(const void*, void*, int, Handle, Handle, Handle);
int MPI_Reduce_scatter_block(const void*, void*, int, Handle, Handle, Handle);
int MPI_Reduce_scatter(const void*, void*, const int*, Handle, Handle, Handle);
int MPI_Scan(const void*, void*, int, Handle, Handle, Handle);
int MPI_Exscan(const void*, void*, int, Handle, Handle, Handle);

}  // extern "C"

namespace tutti::mpi {
namespace {

// Fortran names special buffers by the addresses of variables.
void* buffer(void* given) {
  static void* const in_place = find_variable("mpi_fortran_in_place_");
  static void* const bottom = find_variable("mpi_fortran_bottom_");
  if (given == in_place) return const_cast<void*>(abi().in_place);
  return given == bottom ? nullptr : given;
}

template <Name kName>
Handle convert(int handle) {
  static const auto from_fortran = reinterpret_cast<Handle (*)(int)>(find_function(kName.text));
  return from_fortran(handle);
}
Handle comm_of(int handle) { return convert<"MPI_Comm_f2c">(handle); }
Handle type_of(int handle) { return convert<"MPI_Type_f2c">(handle); }
Handle op_of(int handle) { return convert<"MPI_Op_f2c">(handle); }

std::vector<Handle> types_of(const int* types, int comm) {
  std::vector<Handle> handles(per_rank(kNoRoot, comm_of(comm)).in);
  std::transform(types, types + handles.size(), handles.begin(), type_of);
  return handles;
}

int* error_of(int* last) { return last; }
template <class First, class... Rest>
int* error_of(First /*first*/, Rest... rest) {
  return error_of(rest...);
}

// `arguments` are the call's own; the last one is where the error goes, or nullptr.
template <Name kName, class Call, class... Args>
void serve(Call&& call, Args... arguments) {
  if (library().family == Family::open_mpi) {
    const int code = call();
    if (int* error = error_of(arguments...); error != nullptr) *error = code;
    return;
  }
  static const auto next = reinterpret_cast<void (*)(Args...)>(dlsym(RTLD_NEXT, kName.text));
  next(arguments...);
}

}  // namespace
}  // namespace tutti::mpi

extern "C" {

using namespace tutti::mpi;

void mpi_barrier_(const int* comm, int* error) {
  serve<"mpi_barrier_">([&] { return MPI_Barrier(comm_of(*comm)); }, comm, error);
}
void mpi_barrier_f08_(const int* comm, int* error) {
  serve<"mpi_barrier_f08_">([&] { return MPI_Barrier(comm_of(*comm)); }, comm, error);
}
void mpi_bcast_(void* out, const int* count, const int* type, const int* root, const int* comm, int* error) {
  serve<"mpi_bcast_">([&] { return MPI_Bcast(buffer(out), *count, type_of(*type), *root, comm_of(*comm)); }, out, count, type,
                      root, comm, error);
}
void mpi_bcast_f08_(void* out, const int* count, const int* type, const int* root, const int* comm, int* error) {
  serve<"mpi_bcast_f08_">([&] { return MPI_Bcast(buffer(out), *count, type_of(*type), *root, comm_of(*comm)); }, out, count, type,
                          root, comm, error);
}
void mpi_gather_(void* in, const int* count1, const int* type1, void* out, const int* count2, const int* type2, const int* root,
                 const int* comm, int* error) {
  serve<"mpi_gather_">(
      [&] {
        return MPI_Gather(buffer(in), *count1, type_of(*type1), buffer(out), *count2, type_of(*type2), *root, comm_of(*comm));
      },
      in, count1, type1, out, count2, type2, root, comm, error);
}
void mpi_gather_f08_(void* in, const int* count1, const int* type1, void* out, const int* count2, const int* type2,
                     const int* root, const int* comm, int* error) {
  serve<"mpi_gather_f08_">(
      [&] {
        return MPI_Gather(buffer(in), *count1, type_of(*type1), buffer(out), *count2, type_of(*type2), *root, comm_of(*comm));
      },
      in, count1, type1, out, count2, type2, root, comm, error);
}
void mpi_gatherv_(void* in, const int* count, const int* type1, void* out, const int* counts1, const int* counts2,
                  const int* type2, const int* root, const int* comm, int* error) {
  serve<"mpi_gatherv_">(
      [&] {
        return MPI_Gatherv(buffer(in), *count, type_of(*type1), buffer(out), counts1, counts2, type_of(*type2), *root,
                           comm_of(*comm));
      },
      in, count, type1, out, counts1, counts2, type2, root, comm, error);
}
void mpi_gatherv_f08_(void* in, const int* count, const int* type1, void* out, const int* counts1, const int* counts2,
                      const int* type2, const int* root, const int* comm, int* error) {
  serve<"mpi_gatherv_f08_">(
      [&] {
        return MPI_Gatherv(buffer(in), *count, type_of(*type1), buffer(out), counts1, counts2, type_of(*type2), *root,
                           comm_of(*comm));
      },
      in, count, type1, out, counts1, counts2, type2, root, comm, error);
}
void mpi_scatter_(void* in, const int* count1, const int* type1, void* out, const int* count2, const int* type2, const int* root,
                  const int* comm, int* error) {
  serve<"mpi_scatter_">(
      [&] {
        return MPI_Scatter(buffer(in), *count1, type_of(*type1), buffer(out), *count2, type_of(*type2), *root, comm_of(*comm));
      },
      in, count1, type1, out, count2, type2, root, comm, error);
}
void mpi_scatter_f08_(void* in, const int* count1, const int* type1, void* out, const int* count2, const int* type2,
                      const int* root, const int* comm, int* error) {
  serve<"mpi_scatter_f08_">(
      [&] {
        return MPI_Scatter(buffer(in), *count1, type_of(*type1), buffer(out), *count2, type_of(*type2), *root, comm_of(*comm));
      },
      in, count1, type1, out, count2, type2, root, comm, error);
}
void mpi_scatterv_(void* in, const int* counts1, const int* counts2, const int* type1, void* out, const int* count,
                   const int* type2, const int* root, const int* comm, int* error) {
  serve<"mpi_scatterv_">(
      [&] {
        return MPI_Scatterv(buffer(in), counts1, counts2, type_of(*type1), buffer(out), *count, type_of(*type2), *root,
                            comm_of(*comm));
      },
      in, counts1, counts2, type1, out, count, type2, root, comm, error);
}
void mpi_scatterv_f08_(void* in, const int* counts1, const int* counts2, const int* type1, void* out, const int* count,
                       const int* type2, const int* root, const int* comm, int* error) {
  serve<"mpi_scatterv_f08_">(
      [&] {
        return MPI_Scatterv(buffer(in), counts1, counts2, type_of(*type1), buffer(out), *count, type_of(*type2), *root,
                            comm_of(*comm));
      },
      in, counts1, counts2, type1, out, count, type2, root, comm, error);
}
void mpi_allgather_(void* in, const int* count1, const int* type1, void* out, const int* count2, const int* type2,
                    const int* comm, int* error) {
  serve<"mpi_allgather_">(
      [&] { return MPI_Allgather(buffer(in), *count1, type_of(*type1), buffer(out), *count2, type_of(*type2), comm_of(*comm)); },
      in, count1, type1, out, count2, type2, comm, error);
}
void mpi_allgather_f08_(void* in, const int* count1, const int* type1, void* out, const int* count2, const int* type2,
                        const int* comm, int* error) {
  serve<"mpi_allgather_f08_">(
      [&] { return MPI_Allgather(buffer(in), *count1, type_of(*type1), buffer(out), *count2, type_of(*type2), comm_of(*comm)); },
      in, count1, type1, out, count2, type2, comm, error);
}
void mpi_allgatherv_(void* in, const int* count, const int* type1, void* out, const int* counts1, const int* counts2,
                     const int* type2, const int* comm, int* error) {
  serve<"mpi_allgatherv_">(
      [&] {
        return MPI_Allgatherv(buffer(in), *count, type_of(*type1), buffer(out), counts1, counts2, type_of(*type2),
                              comm_of(*comm));
      },
      in, count, type1, out, counts1, counts2, type2, comm, error);
}
void mpi_allgatherv_f08_(void* in, const int* count, const int* type1, void* out, const int* counts1, const int* counts2,
                         const int* type2, const int* comm, int* error) {
  serve<"mpi_allgatherv_f08_">(
      [&] {
        return MPI_Allgatherv(buffer(in), *count, type_of(*type1), buffer(out), counts1, counts2, type_of(*type2),
                              comm_of(*comm));
      },
      in, count, type1, out, counts1, counts2, type2, comm, error);
}
void mpi_alltoall_(void* in, const int* count1, const int* type1, void* out, const int* count2, const int* type2, const int* comm,
                   int* error) {
  serve<"mpi_alltoall_">(
      [&] { return MPI_Alltoall(buffer(in), *count1, type_of(*type1), buffer(out), *count2, type_of(*type2), comm_of(*comm)); },
      in, count1, type1, out, count2, type2, comm, error);
}
void mpi_alltoall_f08_(void* in, const int* count1, const int* type1, void* out, const int* count2, const int* type2,
                       const int* comm, int* error) {
  serve<"mpi_alltoall_f08_">(
      [&] { return MPI_Alltoall(buffer(in), *count1, type_of(*type1), buffer(out), *count2, type_of(*type2), comm_of(*comm)); },
      in, count1, type1, out, count2, type2, comm, error);
}
void mpi_alltoallv_(void* in, const int* counts1, const int* counts2, const int* type1, void* out, const int* counts3,
                    const int* counts4, const int* type2, const int* comm, int* error) {
  serve<"mpi_alltoallv_">(
      [&] {
        return MPI_Alltoallv(buffer(in), counts1, counts2, type_of(*type1), buffer(out), counts3, counts4, type_of(*type2),
                             comm_of(*comm));
      },
      in, counts1, counts2, type1, out, counts3, counts4, type2, comm, error);
}
void mpi_alltoallv_f08_(void* in, const int* counts1, const int* counts2, const int* type1, void* out, const int* counts3,
                        const int* counts4, const int* type2, const int* comm, int* error) {
  serve<"mpi_alltoallv_f08_">(
      [&] {
        return MPI_Alltoallv(buffer(in), counts1, counts2, type_of(*type1), buffer(out), counts3, counts4, type_of(*type2),
                             comm_of(*comm));
      },
      in, counts1, counts2, type1, out, counts3, counts4, type2, comm, error);
}
void mpi_alltoallw_(void* in, const int* counts1, const int* counts2, const int* types1, void* out, const int* counts3,
                    const int* counts4, const int* types2, const int* comm, int* error) {
  serve<"mpi_alltoallw_">(
      [&] {
        return MPI_Alltoallw(buffer(in), counts1, counts2, types_of(types1, *comm).data(), buffer(out), counts3, counts4,
                             types_of(types2, *comm).data(), comm_of(*comm));
      },
      in, counts1, counts2, types1, out, counts3, counts4, types2, comm, error);
}
void mpi_alltoallw_f08_(void* in, const int* counts1, const int* counts2, const int* types1, void* out, const int* counts3,
                        const int* counts4, const int* types2, const int* comm, int* error) {
  serve<"mpi_alltoallw_f08_">(
      [&] {
        return MPI_Alltoallw(buffer(in), counts1, counts2, types_of(types1, *comm).data(), buffer(out), counts3, counts4,
                             types_of(types2, *comm).data(), comm_of(*comm));
      },
      in, counts1, counts2, types1, out, counts3, counts4, types2, comm, error);
}
void mpi_reduce_(void* in, void* out, const int* count, const int* type, const int* op, const int* root, const int* comm,
                 int* error) {
  serve<"mpi_reduce_">(
      [&] { return MPI_Reduce(buffer(in), buffer(out), *count, type_of(*type), op_of(*op), *root, comm_of(*comm)); }, in, out,
      count, type, op, root, comm, error);
}
void mpi_reduce_f08_(void* in, void* out, const int* count, const int* type, const int* op, const int* root, const int* comm,
                     int* error) {
  serve<"mpi_reduce_f08_">(
      [&] { return MPI_Reduce(buffer(in), buffer(out), *count, type_of(*type), op_of(*op), *root, comm_of(*comm)); }, in, out,
      count, type, op, root, comm, error);
}
void mpi_allreduce_(void* in, void* out, const int* count, const int* type, const int* op, const int* comm, int* error) {
  serve<"mpi_allreduce_">(
      [&] { return MPI_Allreduce(buffer(in), buffer(out), *count, type_of(*type), op_of(*op), comm_of(*comm)); }, in, out, count,
      type, op, comm, error);
}
void mpi_allreduce_f08_(void* in, void* out, const int* count, const int* type, const int* op, const int* comm, int* error) {
  serve<"mpi_allreduce_f08_">(
      [&] { return MPI_Allreduce(buffer(in), buffer(out), *count, type_of(*type), op_of(*op), comm_of(*comm)); }, in, out, count,
      type, op, comm, error);
}
void mpi_reduce_scatter_block_(void* in, void* out, const int* count, const int* type, const int* op, const int* comm,
                               int* error) {
  serve<"mpi_reduce_scatter_block_">(
      [&] { return MPI_Reduce_scatter_block(buffer(in), buffer(out), *count, type_of(*type), op_of(*op), comm_of(*comm)); }, in,
      out, count, type, op, comm, error);
}
void mpi_reduce_scatter_block_f08_(void* in, void* out, const int* count, const int* type, const int* op, const int* comm,
                                   int* error) {
  serve<"mpi_reduce_scatter_block_f08_">(
      [&] { return MPI_Reduce_scatter_block(buffer(in), buffer(out), *count, type_of(*type), op_of(*op), comm_of(*comm)); }, in,
      out, count, type, op, comm, error);
}
void mpi_reduce_scatter_(void* in, void* out, const int* counts, const int* type, const int* op, const int* comm, int* error) {
  serve<"mpi_reduce_scatter_">(
      [&] { return MPI_Reduce_scatter(buffer(in), buffer(out), counts, type_of(*type), op_of(*op), comm_of(*comm)); }, in, out,
      counts, type, op, comm, error);
}
void mpi_reduce_scatter_f08_(void* in, void* out, const int* counts, const int* type, const int* op, const int* comm,
                             int* error) {
  serve<"mpi_reduce_scatter_f08_">(
      [&] { return MPI_Reduce_scatter(buffer(in), buffer(out), counts, type_of(*type), op_of(*op), comm_of(*comm)); }, in, out,
      counts, type, op, comm, error);
}
void mpi_scan_(void* in, void* out, const int* count, const int* type, const int* op, const int* comm, int* error) {
  serve<"mpi_scan_">([&] { return MPI_Scan(buffer(in), buffer(out), *count, type_of(*type), op_of(*op), comm_of(*comm)); }, in,
                     out, count, type, op, comm, error);
}
void mpi_scan_f08_(void* in, void* out, const int* count, const int* type, const int* op, const int* comm, int* error) {
  serve<"mpi_scan_f08_">([&] { return MPI_Scan(buffer(in), buffer(out), *count, type_of(*type), op_of(*op), comm_of(*comm)); },
                         in, out, count, type, op, comm, error);
}
void mpi_exscan_(void* in, void* out, const int* count, const int* type, const int* op, const int* comm, int* error) {
  serve<"mpi_exscan_">([&] { return MPI_Exscan(buffer(in), buffer(out), *count, type_of(*type), op_of(*op), comm_of(*comm)); },
                       in, out, count, type, op, comm, error);
}
void mpi_exscan_f08_(void* in, void* out, const int* count, const int* type, const int* op, const int* comm, int* error) {
  serve<"mpi_exscan_f08_">(
      [&] { return MPI_Exscan(buffer(in), buffer(out), *count, type_of(*type), op_of(*op), comm_of(*comm)); }, in, out, count,
      type, op, comm, error);
}

}  // extern "C"
