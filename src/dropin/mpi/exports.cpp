// The names that the program calls, each in its plain and its large form (`_c`, counts of 64 bits). The large ones are there
// beside every MPI library: programs that look for them at run time find these.
#include <tuple>
#include <type_traits>

#include "mpi/calls.h"
#include "mpi/narrow.h"
#include "mpi/report.h"

namespace tutti::mpi {
namespace {

// The call as the program made it, done by the MPI library.
template <class N, class Plain, class Large, class... Args>
int original(const Plain& plain, const Large& large, int root, Handle comm, Args... args) {
  if constexpr (std::is_same_v<N, int>) {
    return plain(args..., comm);
  } else {
    if (large) return large(args..., comm);
    Narrow narrow(per_rank(root, comm), false);
    const std::tuple narrowed{narrow(args)...};
    if (narrow.fits()) return std::apply([&](auto... a) { return plain(a..., comm); }, narrowed);
    pmpi::comm_call_errhandler(comm, abi().err_count);
    return abi().err_count;
  }
}

// `serve` is tutti's way to do the call, `forward` the MPI library's, with its result in the buffer given.
template <class Serve, class Forward>
int observe(std::string_view name, Attached& a, bool on_devices, void* out, Serve&& serve, Forward&& forward) {
  const TimePoint start = Clock::now();
  a.check.forget();
  const int code = serve(a);
  if (code == kForward)
    return leave(name, "arguments that MPI refuses, or a type or operator that tutti does not know",
                 [&] { return forward(out); });
  if (code != kSuccess) return code;
  note_served(name, a, Clock::now() - start);
  if (!a.checked || !all_agree(!on_devices, a.handle)) return code;
  if (const int theirs = forward(a.check.shadow(a, out)); theirs != kSuccess) return theirs;
  note_check(name, a, a.check.difference(a));
  return code;
}

template <class Serve, class Forward>
int collective(std::string_view name, Handle comm, const void* in, void* out, Serve&& serve, Forward&& forward) {
  comm = abi().cut(comm);
  Attached* a = attached(comm);
  const auto forward_or_decline = [&](void* result) {
    return beyond_mpi(in) || beyond_mpi(result) ? decline(name, comm) : forward(result);
  };
  if (a == nullptr) return forward_or_decline(out);
  if (!a->communicator) return leave(name, a->left_because, [&] { return forward_or_decline(out); });
  if (a->checked || observed()) return observe(name, *a, on_device(in) || on_device(out), out, serve, forward_or_decline);
  const int code = serve(*a);
  return code == kForward ? forward_or_decline(out) : code;
}

template <class N>
int any_bcast(void* buffer, N count, Handle type, int root, Handle comm) {
  return collective(
      "Bcast", comm, buffer, buffer, [&](Attached& a) { return bcast(a, buffer, count, type, root); },
      [&](void* result) { return original<N>(pmpi::bcast, pmpi::bcast_c, root, comm, result, count, type, root); });
}

template <class N>
int any_gather(const void* in, N in_count, Handle in_type, void* out, N out_count, Handle out_type, int root, Handle comm) {
  return collective(
      "Gather", comm, in, out, [&](Attached& a) { return gather(a, in, in_count, in_type, out, out_count, out_type, root); },
      [&](void* result) {
        return original<N>(pmpi::gather, pmpi::gather_c, root, comm, in, in_count, in_type, result, out_count, out_type, root);
      });
}

template <class N>
int any_gatherv(const void* in, N in_count, Handle in_type, void* out, const N* counts, const N* displacements, Handle out_type,
                int root, Handle comm) {
  return collective(
      "Gatherv", comm, in, out,
      [&](Attached& a) { return gatherv(a, in, in_count, in_type, out, counts, displacements, out_type, root); },
      [&](void* result) {
        return original<N>(pmpi::gatherv, pmpi::gatherv_c, root, comm, in, in_count, in_type, result, counts, displacements,
                           out_type, root);
      });
}

template <class N>
int any_scatter(const void* in, N in_count, Handle in_type, void* out, N out_count, Handle out_type, int root, Handle comm) {
  return collective(
      "Scatter", comm, in, out, [&](Attached& a) { return scatter(a, in, in_count, in_type, out, out_count, out_type, root); },
      [&](void* result) {
        return original<N>(pmpi::scatter, pmpi::scatter_c, root, comm, in, in_count, in_type, result, out_count, out_type, root);
      });
}

template <class N>
int any_scatterv(const void* in, const N* counts, const N* displacements, Handle in_type, void* out, N out_count, Handle out_type,
                 int root, Handle comm) {
  return collective(
      "Scatterv", comm, in, out,
      [&](Attached& a) { return scatterv(a, in, counts, displacements, in_type, out, out_count, out_type, root); },
      [&](void* result) {
        return original<N>(pmpi::scatterv, pmpi::scatterv_c, root, comm, in, counts, displacements, in_type, result, out_count,
                           out_type, root);
      });
}

template <class N>
int any_allgather(const void* in, N in_count, Handle in_type, void* out, N out_count, Handle out_type, Handle comm) {
  return collective(
      "Allgather", comm, in, out, [&](Attached& a) { return allgather(a, in, in_count, in_type, out, out_count, out_type); },
      [&](void* result) {
        return original<N>(pmpi::allgather, pmpi::allgather_c, kNoRoot, comm, in, in_count, in_type, result, out_count, out_type);
      });
}

template <class N>
int any_allgatherv(const void* in, N in_count, Handle in_type, void* out, const N* counts, const N* displacements,
                   Handle out_type, Handle comm) {
  return collective(
      "Allgatherv", comm, in, out,
      [&](Attached& a) { return allgatherv(a, in, in_count, in_type, out, counts, displacements, out_type); },
      [&](void* result) {
        return original<N>(pmpi::allgatherv, pmpi::allgatherv_c, kNoRoot, comm, in, in_count, in_type, result, counts,
                           displacements, out_type);
      });
}

template <class N>
int any_alltoall(const void* in, N in_count, Handle in_type, void* out, N out_count, Handle out_type, Handle comm) {
  return collective(
      "Alltoall", comm, in, out, [&](Attached& a) { return alltoall(a, in, in_count, in_type, out, out_count, out_type); },
      [&](void* result) {
        return original<N>(pmpi::alltoall, pmpi::alltoall_c, kNoRoot, comm, in, in_count, in_type, result, out_count, out_type);
      });
}

template <class N>
int any_alltoallv(const void* in, const N* in_counts, const N* in_displacements, Handle in_type, void* out, const N* out_counts,
                  const N* out_displacements, Handle out_type, Handle comm) {
  return collective(
      "Alltoallv", comm, in, out,
      [&](Attached& a) {
        return alltoallv(a, in, in_counts, in_displacements, in_type, out, out_counts, out_displacements, out_type);
      },
      [&](void* result) {
        return original<N>(pmpi::alltoallv, pmpi::alltoallv_c, kNoRoot, comm, in, in_counts, in_displacements, in_type, result,
                           out_counts, out_displacements, out_type);
      });
}

template <class N>
int any_alltoallw(const void* in, const N* in_counts, const N* in_displacements, const void* in_types, void* out,
                  const N* out_counts, const N* out_displacements, const void* out_types, Handle comm) {
  return collective(
      "Alltoallw", comm, in, out,
      [&](Attached& a) {
        return alltoallw(a, in, in_counts, in_displacements, in_types, out, out_counts, out_displacements, out_types);
      },
      [&](void* result) {
        return original<N>(pmpi::alltoallw, pmpi::alltoallw_c, kNoRoot, comm, in, in_counts, in_displacements, in_types, result,
                           out_counts, out_displacements, out_types);
      });
}

template <class N>
int any_reduce(const void* in, void* out, N count, Handle type, Handle op, int root, Handle comm) {
  return collective(
      "Reduce", comm, in, out, [&](Attached& a) { return reduce(a, in, out, count, type, op, root); },
      [&](void* result) { return original<N>(pmpi::reduce, pmpi::reduce_c, root, comm, in, result, count, type, op, root); });
}

template <class N>
int any_allreduce(const void* in, void* out, N count, Handle type, Handle op, Handle comm) {
  return collective(
      "Allreduce", comm, in, out, [&](Attached& a) { return allreduce(a, in, out, count, type, op); },
      [&](void* result) { return original<N>(pmpi::allreduce, pmpi::allreduce_c, kNoRoot, comm, in, result, count, type, op); });
}

template <class N>
int any_reduce_scatter_block(const void* in, void* out, N count, Handle type, Handle op, Handle comm) {
  return collective(
      "Reduce_scatter_block", comm, in, out, [&](Attached& a) { return reduce_scatter_block(a, in, out, count, type, op); },
      [&](void* result) {
        return original<N>(pmpi::reduce_scatter_block, pmpi::reduce_scatter_block_c, kNoRoot, comm, in, result, count, type, op);
      });
}

template <class N>
int any_reduce_scatter(const void* in, void* out, const N* counts, Handle type, Handle op, Handle comm) {
  return collective(
      "Reduce_scatter", comm, in, out, [&](Attached& a) { return reduce_scatter(a, in, out, counts, type, op); },
      [&](void* result) {
        return original<N>(pmpi::reduce_scatter, pmpi::reduce_scatter_c, kNoRoot, comm, in, result, counts, type, op);
      });
}

template <class N>
int any_scan(const void* in, void* out, N count, Handle type, Handle op, Handle comm) {
  return collective(
      "Scan", comm, in, out, [&](Attached& a) { return scan(a, in, out, count, type, op); },
      [&](void* result) { return original<N>(pmpi::scan, pmpi::scan_c, kNoRoot, comm, in, result, count, type, op); });
}

template <class N>
int any_exscan(const void* in, void* out, N count, Handle type, Handle op, Handle comm) {
  return collective(
      "Exscan", comm, in, out, [&](Attached& a) { return exscan(a, in, out, count, type, op); },
      [&](void* result) { return original<N>(pmpi::exscan, pmpi::exscan_c, kNoRoot, comm, in, result, count, type, op); });
}

}  // namespace
}  // namespace tutti::mpi

using tutti::mpi::Count;
using tutti::mpi::Handle;

extern "C" {

int MPI_Barrier(Handle comm) {
  return tutti::mpi::collective("Barrier", comm, nullptr, nullptr, tutti::mpi::barrier,
                                [&](void* /*none*/) { return tutti::mpi::pmpi::barrier(comm); });
}
int MPI_Bcast(void* buffer, int count, Handle type, int root, Handle comm) {
  return tutti::mpi::any_bcast(buffer, count, type, root, comm);
}
int MPI_Bcast_c(void* buffer, Count count, Handle type, int root, Handle comm) {
  return tutti::mpi::any_bcast(buffer, count, type, root, comm);
}
int MPI_Gather(const void* in, int in_count, Handle in_type, void* out, int out_count, Handle out_type, int root, Handle comm) {
  return tutti::mpi::any_gather(in, in_count, in_type, out, out_count, out_type, root, comm);
}
int MPI_Gather_c(const void* in, Count in_count, Handle in_type, void* out, Count out_count, Handle out_type, int root,
                 Handle comm) {
  return tutti::mpi::any_gather(in, in_count, in_type, out, out_count, out_type, root, comm);
}
int MPI_Gatherv(const void* in, int in_count, Handle in_type, void* out, const int* counts, const int* displacements,
                Handle out_type, int root, Handle comm) {
  return tutti::mpi::any_gatherv(in, in_count, in_type, out, counts, displacements, out_type, root, comm);
}
int MPI_Gatherv_c(const void* in, Count in_count, Handle in_type, void* out, const Count* counts, const Count* displacements,
                  Handle out_type, int root, Handle comm) {
  return tutti::mpi::any_gatherv(in, in_count, in_type, out, counts, displacements, out_type, root, comm);
}
int MPI_Scatter(const void* in, int in_count, Handle in_type, void* out, int out_count, Handle out_type, int root, Handle comm) {
  return tutti::mpi::any_scatter(in, in_count, in_type, out, out_count, out_type, root, comm);
}
int MPI_Scatter_c(const void* in, Count in_count, Handle in_type, void* out, Count out_count, Handle out_type, int root,
                  Handle comm) {
  return tutti::mpi::any_scatter(in, in_count, in_type, out, out_count, out_type, root, comm);
}
int MPI_Scatterv(const void* in, const int* counts, const int* displacements, Handle in_type, void* out, int out_count,
                 Handle out_type, int root, Handle comm) {
  return tutti::mpi::any_scatterv(in, counts, displacements, in_type, out, out_count, out_type, root, comm);
}
int MPI_Scatterv_c(const void* in, const Count* counts, const Count* displacements, Handle in_type, void* out, Count out_count,
                   Handle out_type, int root, Handle comm) {
  return tutti::mpi::any_scatterv(in, counts, displacements, in_type, out, out_count, out_type, root, comm);
}
int MPI_Allgather(const void* in, int in_count, Handle in_type, void* out, int out_count, Handle out_type, Handle comm) {
  return tutti::mpi::any_allgather(in, in_count, in_type, out, out_count, out_type, comm);
}
int MPI_Allgather_c(const void* in, Count in_count, Handle in_type, void* out, Count out_count, Handle out_type, Handle comm) {
  return tutti::mpi::any_allgather(in, in_count, in_type, out, out_count, out_type, comm);
}
int MPI_Allgatherv(const void* in, int in_count, Handle in_type, void* out, const int* counts, const int* displacements,
                   Handle out_type, Handle comm) {
  return tutti::mpi::any_allgatherv(in, in_count, in_type, out, counts, displacements, out_type, comm);
}
int MPI_Allgatherv_c(const void* in, Count in_count, Handle in_type, void* out, const Count* counts, const Count* displacements,
                     Handle out_type, Handle comm) {
  return tutti::mpi::any_allgatherv(in, in_count, in_type, out, counts, displacements, out_type, comm);
}
int MPI_Alltoall(const void* in, int in_count, Handle in_type, void* out, int out_count, Handle out_type, Handle comm) {
  return tutti::mpi::any_alltoall(in, in_count, in_type, out, out_count, out_type, comm);
}
int MPI_Alltoall_c(const void* in, Count in_count, Handle in_type, void* out, Count out_count, Handle out_type, Handle comm) {
  return tutti::mpi::any_alltoall(in, in_count, in_type, out, out_count, out_type, comm);
}
int MPI_Alltoallv(const void* in, const int* in_counts, const int* in_displacements, Handle in_type, void* out,
                  const int* out_counts, const int* out_displacements, Handle out_type, Handle comm) {
  return tutti::mpi::any_alltoallv(in, in_counts, in_displacements, in_type, out, out_counts, out_displacements, out_type, comm);
}
int MPI_Alltoallv_c(const void* in, const Count* in_counts, const Count* in_displacements, Handle in_type, void* out,
                    const Count* out_counts, const Count* out_displacements, Handle out_type, Handle comm) {
  return tutti::mpi::any_alltoallv(in, in_counts, in_displacements, in_type, out, out_counts, out_displacements, out_type, comm);
}
int MPI_Alltoallw(const void* in, const int* in_counts, const int* in_displacements, const void* in_types, void* out,
                  const int* out_counts, const int* out_displacements, const void* out_types, Handle comm) {
  return tutti::mpi::any_alltoallw(in, in_counts, in_displacements, in_types, out, out_counts, out_displacements, out_types,
                                   comm);
}
int MPI_Alltoallw_c(const void* in, const Count* in_counts, const Count* in_displacements, const void* in_types, void* out,
                    const Count* out_counts, const Count* out_displacements, const void* out_types, Handle comm) {
  return tutti::mpi::any_alltoallw(in, in_counts, in_displacements, in_types, out, out_counts, out_displacements, out_types,
                                   comm);
}
int MPI_Reduce(const void* in, void* out, int count, Handle type, Handle op, int root, Handle comm) {
  return tutti::mpi::any_reduce(in, out, count, type, op, root, comm);
}
int MPI_Reduce_c(const void* in, void* out, Count count, Handle type, Handle op, int root, Handle comm) {
  return tutti::mpi::any_reduce(in, out, count, type, op, root, comm);
}
int MPI_Allreduce(const void* in, void* out, int count, Handle type, Handle op, Handle comm) {
  return tutti::mpi::any_allreduce(in, out, count, type, op, comm);
}
int MPI_Allreduce_c(const void* in, void* out, Count count, Handle type, Handle op, Handle comm) {
  return tutti::mpi::any_allreduce(in, out, count, type, op, comm);
}
int MPI_Reduce_scatter_block(const void* in, void* out, int count, Handle type, Handle op, Handle comm) {
  return tutti::mpi::any_reduce_scatter_block(in, out, count, type, op, comm);
}
int MPI_Reduce_scatter_block_c(const void* in, void* out, Count count, Handle type, Handle op, Handle comm) {
  return tutti::mpi::any_reduce_scatter_block(in, out, count, type, op, comm);
}
int MPI_Reduce_scatter(const void* in, void* out, const int* counts, Handle type, Handle op, Handle comm) {
  return tutti::mpi::any_reduce_scatter(in, out, counts, type, op, comm);
}
int MPI_Reduce_scatter_c(const void* in, void* out, const Count* counts, Handle type, Handle op, Handle comm) {
  return tutti::mpi::any_reduce_scatter(in, out, counts, type, op, comm);
}
int MPI_Scan(const void* in, void* out, int count, Handle type, Handle op, Handle comm) {
  return tutti::mpi::any_scan(in, out, count, type, op, comm);
}
int MPI_Scan_c(const void* in, void* out, Count count, Handle type, Handle op, Handle comm) {
  return tutti::mpi::any_scan(in, out, count, type, op, comm);
}
int MPI_Exscan(const void* in, void* out, int count, Handle type, Handle op, Handle comm) {
  return tutti::mpi::any_exscan(in, out, count, type, op, comm);
}
int MPI_Exscan_c(const void* in, void* out, Count count, Handle type, Handle op, Handle comm) {
  return tutti::mpi::any_exscan(in, out, count, type, op, comm);
}

}  // extern "C"
