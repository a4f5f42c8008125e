// Collectives that are always left to the MPI library, and are here to be counted: nonblocking and persistent ones, whose
// requests MPI's own MPI_Wait and MPI_Test must complete, and those of neighbourhoods, which tutti does not have. Nothing here
// may wait for another rank.
#include <array>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "mpi/attached.h"
#include "mpi/narrow.h"
#include "mpi/report.h"

namespace tutti::mpi {
namespace {

// Not find(), which is no constant expression here when g++ 12 instruments for the undefined-behaviour sanitizer.
consteval bool contains(std::string_view text, std::string_view part) {
  for (std::size_t i = 0; i + part.size() <= text.size(); ++i)
    if (text.substr(i, part.size()) == part) return true;
  return false;
}

// What a function's name says of it.
struct Form {
  consteval explicit Form(std::string_view name)
      : large(name.ends_with("_c")),
        persistent(contains(name, "_init")),
        nonblocking(name.starts_with("MPI_I")),
        neighbours(contains(name, "eighbor_")) {}

  bool large, persistent, nonblocking, neighbours;

  // MPI_Info and the request
  [[nodiscard]] constexpr std::size_t arguments_after_comm() const { return persistent ? 2 : nonblocking ? 1 : 0; }
  [[nodiscard]] constexpr std::string_view reason() const {
    return persistent    ? "persistent: its request is MPI's"
           : nonblocking ? "nonblocking: its request is MPI's"
                         : "a collective of neighbours";
  }
};

template <Name kName>
constexpr Form kForm(kName.text);

template <std::size_t N>
consteval Name<N - 2> without_suffix(const Name<N>& large) {
  char plain[N - 2] = {};
  std::copy_n(large.text, N - 3, plain);
  return plain;
}

int refuse(Handle comm, int code) {
  if (pmpi::comm_call_errhandler) pmpi::comm_call_errhandler(comm, code);
  return code;
}

template <Name kName, class... Args>
int call(Handle comm, Args... args) {
  constexpr Function<kName, Args...> kFunction;
  return kFunction ? kFunction(args...) : refuse(comm, abi().err_unsupported);
}

template <Name kName, class... Args>
int call_plain(Handle comm, int root, Args... args) {
  Narrow narrow(kForm<kName>.neighbours ? per_neighbour(comm) : per_rank(root, comm),
                kForm<kName>.persistent || kForm<kName>.nonblocking);
  const std::tuple narrowed{narrow(args)...};
  if (!narrow.fits()) return refuse(comm, abi().err_count);
  return std::apply([&](auto... a) { return call<kName>(comm, a...); }, narrowed);
}

// Buffers are the only arguments of this kind, but for arrays of types.
template <class Arg>
bool is_beyond_mpi(Arg arg) {
  if constexpr (std::is_same_v<Arg, const void*> || std::is_same_v<Arg, void*>) return beyond_mpi(arg);
  return false;
}

template <Name kName, class... Args>
int forward(Args... args) {
  constexpr std::size_t kComm = sizeof...(Args) - 1 - kForm<kName>.arguments_after_comm();
  const std::tuple arguments{args...};
  const Handle comm = std::get<kComm>(arguments);
  if (observed()) watch_finalize();
  constexpr std::string_view kText = kName.text;
  constexpr std::string_view kShort = kText.substr(4, kText.size() - (kForm<kName>.large ? 6 : 4));
  return leave(kShort, kForm<kName>.reason(), [&] {
    if ((is_beyond_mpi(args) || ...)) return decline(kShort, comm);
    if constexpr (kForm<kName>.large) {
      constexpr Function<kName, Args...> kLarge;
      if (!kLarge) {
        int root = kNoRoot;  // it stands before the communicator, where there is one
        if constexpr (std::is_same_v<std::tuple_element_t<kComm - 1, std::tuple<Args...>>, int>)
          root = std::get<kComm - 1>(arguments);
        return call_plain<without_suffix(kName)>(comm, root, args...);
      }
    }
    return call<kName>(comm, args...);
  });
}

}  // namespace
}  // namespace tutti::mpi

extern "C" {

using tutti::mpi::forward;

using In = const void*;
using Out = void*;
using Handle = tutti::mpi::Handle;
using Request = Handle*;
using Count = tutti::mpi::Count;
using Ints = const int*;
using Counts = const Count*;
using Types = const void*;
using Aints = const void*;  // 64 bits in every form

int MPI_Ibarrier(Handle comm, Request request) { return forward<"MPI_Ibarrier">(comm, request); }
int MPI_Ibcast(Out buffer, int count, Handle type, int root, Handle comm, Request request) {
  return forward<"MPI_Ibcast">(buffer, count, type, root, comm, request);
}
int MPI_Ibcast_c(Out buffer, Count count, Handle type, int root, Handle comm, Request request) {
  return forward<"MPI_Ibcast_c">(buffer, count, type, root, comm, request);
}
int MPI_Igather(In in, int in_count, Handle in_type, Out out, int out_count, Handle out_type, int root, Handle comm,
                Request request) {
  return forward<"MPI_Igather">(in, in_count, in_type, out, out_count, out_type, root, comm, request);
}
int MPI_Igather_c(In in, Count in_count, Handle in_type, Out out, Count out_count, Handle out_type, int root, Handle comm,
                  Request request) {
  return forward<"MPI_Igather_c">(in, in_count, in_type, out, out_count, out_type, root, comm, request);
}
int MPI_Igatherv(In in, int in_count, Handle in_type, Out out, Ints counts, Ints at, Handle out_type, int root, Handle comm,
                 Request request) {
  return forward<"MPI_Igatherv">(in, in_count, in_type, out, counts, at, out_type, root, comm, request);
}
int MPI_Igatherv_c(In in, Count in_count, Handle in_type, Out out, Counts counts, Counts at, Handle out_type, int root,
                   Handle comm, Request request) {
  return forward<"MPI_Igatherv_c">(in, in_count, in_type, out, counts, at, out_type, root, comm, request);
}
int MPI_Iscatter(In in, int in_count, Handle in_type, Out out, int out_count, Handle out_type, int root, Handle comm,
                 Request request) {
  return forward<"MPI_Iscatter">(in, in_count, in_type, out, out_count, out_type, root, comm, request);
}
int MPI_Iscatter_c(In in, Count in_count, Handle in_type, Out out, Count out_count, Handle out_type, int root, Handle comm,
                   Request request) {
  return forward<"MPI_Iscatter_c">(in, in_count, in_type, out, out_count, out_type, root, comm, request);
}
int MPI_Iscatterv(In in, Ints counts, Ints at, Handle in_type, Out out, int out_count, Handle out_type, int root, Handle comm,
                  Request request) {
  return forward<"MPI_Iscatterv">(in, counts, at, in_type, out, out_count, out_type, root, comm, request);
}
int MPI_Iscatterv_c(In in, Counts counts, Counts at, Handle in_type, Out out, Count out_count, Handle out_type, int root,
                    Handle comm, Request request) {
  return forward<"MPI_Iscatterv_c">(in, counts, at, in_type, out, out_count, out_type, root, comm, request);
}
int MPI_Iallgather(In in, int in_count, Handle in_type, Out out, int out_count, Handle out_type, Handle comm, Request request) {
  return forward<"MPI_Iallgather">(in, in_count, in_type, out, out_count, out_type, comm, request);
}
int MPI_Iallgather_c(In in, Count in_count, Handle in_type, Out out, Count out_count, Handle out_type, Handle comm,
                     Request request) {
  return forward<"MPI_Iallgather_c">(in, in_count, in_type, out, out_count, out_type, comm, request);
}
int MPI_Iallgatherv(In in, int in_count, Handle in_type, Out out, Ints counts, Ints at, Handle out_type, Handle comm,
                    Request request) {
  return forward<"MPI_Iallgatherv">(in, in_count, in_type, out, counts, at, out_type, comm, request);
}
int MPI_Iallgatherv_c(In in, Count in_count, Handle in_type, Out out, Counts counts, Counts at, Handle out_type, Handle comm,
                      Request request) {
  return forward<"MPI_Iallgatherv_c">(in, in_count, in_type, out, counts, at, out_type, comm, request);
}
int MPI_Ialltoall(In in, int in_count, Handle in_type, Out out, int out_count, Handle out_type, Handle comm, Request request) {
  return forward<"MPI_Ialltoall">(in, in_count, in_type, out, out_count, out_type, comm, request);
}
int MPI_Ialltoall_c(In in, Count in_count, Handle in_type, Out out, Count out_count, Handle out_type, Handle comm,
                    Request request) {
  return forward<"MPI_Ialltoall_c">(in, in_count, in_type, out, out_count, out_type, comm, request);
}
int MPI_Ialltoallv(In in, Ints in_counts, Ints in_at, Handle in_type, Out out, Ints out_counts, Ints out_at, Handle out_type,
                   Handle comm, Request request) {
  return forward<"MPI_Ialltoallv">(in, in_counts, in_at, in_type, out, out_counts, out_at, out_type, comm, request);
}
int MPI_Ialltoallv_c(In in, Counts in_counts, Counts in_at, Handle in_type, Out out, Counts out_counts, Counts out_at,
                     Handle out_type, Handle comm, Request request) {
  return forward<"MPI_Ialltoallv_c">(in, in_counts, in_at, in_type, out, out_counts, out_at, out_type, comm, request);
}
int MPI_Ialltoallw(In in, Ints in_counts, Ints in_at, Types in_types, Out out, Ints out_counts, Ints out_at, Types out_types,
                   Handle comm, Request request) {
  return forward<"MPI_Ialltoallw">(in, in_counts, in_at, in_types, out, out_counts, out_at, out_types, comm, request);
}
int MPI_Ialltoallw_c(In in, Counts in_counts, Counts in_at, Types in_types, Out out, Counts out_counts, Counts out_at,
                     Types out_types, Handle comm, Request request) {
  return forward<"MPI_Ialltoallw_c">(in, in_counts, in_at, in_types, out, out_counts, out_at, out_types, comm, request);
}
int MPI_Ireduce(In in, Out out, int count, Handle type, Handle op, int root, Handle comm, Request request) {
  return forward<"MPI_Ireduce">(in, out, count, type, op, root, comm, request);
}
int MPI_Ireduce_c(In in, Out out, Count count, Handle type, Handle op, int root, Handle comm, Request request) {
  return forward<"MPI_Ireduce_c">(in, out, count, type, op, root, comm, request);
}
int MPI_Iallreduce(In in, Out out, int count, Handle type, Handle op, Handle comm, Request request) {
  return forward<"MPI_Iallreduce">(in, out, count, type, op, comm, request);
}
int MPI_Iallreduce_c(In in, Out out, Count count, Handle type, Handle op, Handle comm, Request request) {
  return forward<"MPI_Iallreduce_c">(in, out, count, type, op, comm, request);
}
int MPI_Ireduce_scatter_block(In in, Out out, int count, Handle type, Handle op, Handle comm, Request request) {
  return forward<"MPI_Ireduce_scatter_block">(in, out, count, type, op, comm, request);
}
int MPI_Ireduce_scatter_block_c(In in, Out out, Count count, Handle type, Handle op, Handle comm, Request request) {
  return forward<"MPI_Ireduce_scatter_block_c">(in, out, count, type, op, comm, request);
}
int MPI_Ireduce_scatter(In in, Out out, Ints counts, Handle type, Handle op, Handle comm, Request request) {
  return forward<"MPI_Ireduce_scatter">(in, out, counts, type, op, comm, request);
}
int MPI_Ireduce_scatter_c(In in, Out out, Counts counts, Handle type, Handle op, Handle comm, Request request) {
  return forward<"MPI_Ireduce_scatter_c">(in, out, counts, type, op, comm, request);
}
int MPI_Iscan(In in, Out out, int count, Handle type, Handle op, Handle comm, Request request) {
  return forward<"MPI_Iscan">(in, out, count, type, op, comm, request);
}
int MPI_Iscan_c(In in, Out out, Count count, Handle type, Handle op, Handle comm, Request request) {
  return forward<"MPI_Iscan_c">(in, out, count, type, op, comm, request);
}
int MPI_Iexscan(In in, Out out, int count, Handle type, Handle op, Handle comm, Request request) {
  return forward<"MPI_Iexscan">(in, out, count, type, op, comm, request);
}
int MPI_Iexscan_c(In in, Out out, Count count, Handle type, Handle op, Handle comm, Request request) {
  return forward<"MPI_Iexscan_c">(in, out, count, type, op, comm, request);
}

int MPI_Barrier_init(Handle comm, Handle info, Request request) { return forward<"MPI_Barrier_init">(comm, info, request); }
int MPI_Bcast_init(Out buffer, int count, Handle type, int root, Handle comm, Handle info, Request request) {
  return forward<"MPI_Bcast_init">(buffer, count, type, root, comm, info, request);
}
int MPI_Bcast_init_c(Out buffer, Count count, Handle type, int root, Handle comm, Handle info, Request request) {
  return forward<"MPI_Bcast_init_c">(buffer, count, type, root, comm, info, request);
}
int MPI_Gather_init(In in, int in_count, Handle in_type, Out out, int out_count, Handle out_type, int root, Handle comm,
                    Handle info, Request request) {
  return forward<"MPI_Gather_init">(in, in_count, in_type, out, out_count, out_type, root, comm, info, request);
}
int MPI_Gather_init_c(In in, Count in_count, Handle in_type, Out out, Count out_count, Handle out_type, int root, Handle comm,
                      Handle info, Request request) {
  return forward<"MPI_Gather_init_c">(in, in_count, in_type, out, out_count, out_type, root, comm, info, request);
}
int MPI_Gatherv_init(In in, int in_count, Handle in_type, Out out, Ints counts, Ints at, Handle out_type, int root, Handle comm,
                     Handle info, Request request) {
  return forward<"MPI_Gatherv_init">(in, in_count, in_type, out, counts, at, out_type, root, comm, info, request);
}
int MPI_Gatherv_init_c(In in, Count in_count, Handle in_type, Out out, Counts counts, Counts at, Handle out_type, int root,
                       Handle comm, Handle info, Request request) {
  return forward<"MPI_Gatherv_init_c">(in, in_count, in_type, out, counts, at, out_type, root, comm, info, request);
}
int MPI_Scatter_init(In in, int in_count, Handle in_type, Out out, int out_count, Handle out_type, int root, Handle comm,
                     Handle info, Request request) {
  return forward<"MPI_Scatter_init">(in, in_count, in_type, out, out_count, out_type, root, comm, info, request);
}
int MPI_Scatter_init_c(In in, Count in_count, Handle in_type, Out out, Count out_count, Handle out_type, int root, Handle comm,
                       Handle info, Request request) {
  return forward<"MPI_Scatter_init_c">(in, in_count, in_type, out, out_count, out_type, root, comm, info, request);
}
int MPI_Scatterv_init(In in, Ints counts, Ints at, Handle in_type, Out out, int out_count, Handle out_type, int root, Handle comm,
                      Handle info, Request request) {
  return forward<"MPI_Scatterv_init">(in, counts, at, in_type, out, out_count, out_type, root, comm, info, request);
}
int MPI_Scatterv_init_c(In in, Counts counts, Counts at, Handle in_type, Out out, Count out_count, Handle out_type, int root,
                        Handle comm, Handle info, Request request) {
  return forward<"MPI_Scatterv_init_c">(in, counts, at, in_type, out, out_count, out_type, root, comm, info, request);
}
int MPI_Allgather_init(In in, int in_count, Handle in_type, Out out, int out_count, Handle out_type, Handle comm, Handle info,
                       Request request) {
  return forward<"MPI_Allgather_init">(in, in_count, in_type, out, out_count, out_type, comm, info, request);
}
int MPI_Allgather_init_c(In in, Count in_count, Handle in_type, Out out, Count out_count, Handle out_type, Handle comm,
                         Handle info, Request request) {
  return forward<"MPI_Allgather_init_c">(in, in_count, in_type, out, out_count, out_type, comm, info, request);
}
int MPI_Allgatherv_init(In in, int in_count, Handle in_type, Out out, Ints counts, Ints at, Handle out_type, Handle comm,
                        Handle info, Request request) {
  return forward<"MPI_Allgatherv_init">(in, in_count, in_type, out, counts, at, out_type, comm, info, request);
}
int MPI_Allgatherv_init_c(In in, Count in_count, Handle in_type, Out out, Counts counts, Counts at, Handle out_type, Handle comm,
                          Handle info, Request request) {
  return forward<"MPI_Allgatherv_init_c">(in, in_count, in_type, out, counts, at, out_type, comm, info, request);
}
int MPI_Alltoall_init(In in, int in_count, Handle in_type, Out out, int out_count, Handle out_type, Handle comm, Handle info,
                      Request request) {
  return forward<"MPI_Alltoall_init">(in, in_count, in_type, out, out_count, out_type, comm, info, request);
}
int MPI_Alltoall_init_c(In in, Count in_count, Handle in_type, Out out, Count out_count, Handle out_type, Handle comm,
                        Handle info, Request request) {
  return forward<"MPI_Alltoall_init_c">(in, in_count, in_type, out, out_count, out_type, comm, info, request);
}
int MPI_Alltoallv_init(In in, Ints in_counts, Ints in_at, Handle in_type, Out out, Ints out_counts, Ints out_at, Handle out_type,
                       Handle comm, Handle info, Request request) {
  return forward<"MPI_Alltoallv_init">(in, in_counts, in_at, in_type, out, out_counts, out_at, out_type, comm, info, request);
}
int MPI_Alltoallv_init_c(In in, Counts in_counts, Counts in_at, Handle in_type, Out out, Counts out_counts, Counts out_at,
                         Handle out_type, Handle comm, Handle info, Request request) {
  return forward<"MPI_Alltoallv_init_c">(in, in_counts, in_at, in_type, out, out_counts, out_at, out_type, comm, info, request);
}
int MPI_Alltoallw_init(In in, Ints in_counts, Ints in_at, Types in_types, Out out, Ints out_counts, Ints out_at, Types out_types,
                       Handle comm, Handle info, Request request) {
  return forward<"MPI_Alltoallw_init">(in, in_counts, in_at, in_types, out, out_counts, out_at, out_types, comm, info, request);
}
int MPI_Alltoallw_init_c(In in, Counts in_counts, Counts in_at, Types in_types, Out out, Counts out_counts, Counts out_at,
                         Types out_types, Handle comm, Handle info, Request request) {
  return forward<"MPI_Alltoallw_init_c">(in, in_counts, in_at, in_types, out, out_counts, out_at, out_types, comm, info, request);
}
int MPI_Reduce_init(In in, Out out, int count, Handle type, Handle op, int root, Handle comm, Handle info, Request request) {
  return forward<"MPI_Reduce_init">(in, out, count, type, op, root, comm, info, request);
}
int MPI_Reduce_init_c(In in, Out out, Count count, Handle type, Handle op, int root, Handle comm, Handle info, Request request) {
  return forward<"MPI_Reduce_init_c">(in, out, count, type, op, root, comm, info, request);
}
int MPI_Allreduce_init(In in, Out out, int count, Handle type, Handle op, Handle comm, Handle info, Request request) {
  return forward<"MPI_Allreduce_init">(in, out, count, type, op, comm, info, request);
}
int MPI_Allreduce_init_c(In in, Out out, Count count, Handle type, Handle op, Handle comm, Handle info, Request request) {
  return forward<"MPI_Allreduce_init_c">(in, out, count, type, op, comm, info, request);
}
int MPI_Reduce_scatter_block_init(In in, Out out, int count, Handle type, Handle op, Handle comm, Handle info, Request request) {
  return forward<"MPI_Reduce_scatter_block_init">(in, out, count, type, op, comm, info, request);
}
int MPI_Reduce_scatter_block_init_c(In in, Out out, Count count, Handle type, Handle op, Handle comm, Handle info,
                                    Request request) {
  return forward<"MPI_Reduce_scatter_block_init_c">(in, out, count, type, op, comm, info, request);
}
int MPI_Reduce_scatter_init(In in, Out out, Ints counts, Handle type, Handle op, Handle comm, Handle info, Request request) {
  return forward<"MPI_Reduce_scatter_init">(in, out, counts, type, op, comm, info, request);
}
int MPI_Reduce_scatter_init_c(In in, Out out, Counts counts, Handle type, Handle op, Handle comm, Handle info, Request request) {
  return forward<"MPI_Reduce_scatter_init_c">(in, out, counts, type, op, comm, info, request);
}
int MPI_Scan_init(In in, Out out, int count, Handle type, Handle op, Handle comm, Handle info, Request request) {
  return forward<"MPI_Scan_init">(in, out, count, type, op, comm, info, request);
}
int MPI_Scan_init_c(In in, Out out, Count count, Handle type, Handle op, Handle comm, Handle info, Request request) {
  return forward<"MPI_Scan_init_c">(in, out, count, type, op, comm, info, request);
}
int MPI_Exscan_init(In in, Out out, int count, Handle type, Handle op, Handle comm, Handle info, Request request) {
  return forward<"MPI_Exscan_init">(in, out, count, type, op, comm, info, request);
}
int MPI_Exscan_init_c(In in, Out out, Count count, Handle type, Handle op, Handle comm, Handle info, Request request) {
  return forward<"MPI_Exscan_init_c">(in, out, count, type, op, comm, info, request);
}

int MPI_Neighbor_allgather(In in, int in_count, Handle in_type, Out out, int out_count, Handle out_type, Handle comm) {
  return forward<"MPI_Neighbor_allgather">(in, in_count, in_type, out, out_count, out_type, comm);
}
int MPI_Neighbor_allgather_c(In in, Count in_count, Handle in_type, Out out, Count out_count, Handle out_type, Handle comm) {
  return forward<"MPI_Neighbor_allgather_c">(in, in_count, in_type, out, out_count, out_type, comm);
}
int MPI_Ineighbor_allgather(In in, int in_count, Handle in_type, Out out, int out_count, Handle out_type, Handle comm,
                            Request request) {
  return forward<"MPI_Ineighbor_allgather">(in, in_count, in_type, out, out_count, out_type, comm, request);
}
int MPI_Ineighbor_allgather_c(In in, Count in_count, Handle in_type, Out out, Count out_count, Handle out_type, Handle comm,
                              Request request) {
  return forward<"MPI_Ineighbor_allgather_c">(in, in_count, in_type, out, out_count, out_type, comm, request);
}
int MPI_Neighbor_allgather_init(In in, int in_count, Handle in_type, Out out, int out_count, Handle out_type, Handle comm,
                                Handle info, Request request) {
  return forward<"MPI_Neighbor_allgather_init">(in, in_count, in_type, out, out_count, out_type, comm, info, request);
}
int MPI_Neighbor_allgather_init_c(In in, Count in_count, Handle in_type, Out out, Count out_count, Handle out_type, Handle comm,
                                  Handle info, Request request) {
  return forward<"MPI_Neighbor_allgather_init_c">(in, in_count, in_type, out, out_count, out_type, comm, info, request);
}
int MPI_Neighbor_allgatherv(In in, int in_count, Handle in_type, Out out, Ints counts, Ints at, Handle out_type, Handle comm) {
  return forward<"MPI_Neighbor_allgatherv">(in, in_count, in_type, out, counts, at, out_type, comm);
}
int MPI_Neighbor_allgatherv_c(In in, Count in_count, Handle in_type, Out out, Counts counts, Counts at, Handle out_type,
                              Handle comm) {
  return forward<"MPI_Neighbor_allgatherv_c">(in, in_count, in_type, out, counts, at, out_type, comm);
}
int MPI_Ineighbor_allgatherv(In in, int in_count, Handle in_type, Out out, Ints counts, Ints at, Handle out_type, Handle comm,
                             Request request) {
  return forward<"MPI_Ineighbor_allgatherv">(in, in_count, in_type, out, counts, at, out_type, comm, request);
}
int MPI_Ineighbor_allgatherv_c(In in, Count in_count, Handle in_type, Out out, Counts counts, Counts at, Handle out_type,
                               Handle comm, Request request) {
  return forward<"MPI_Ineighbor_allgatherv_c">(in, in_count, in_type, out, counts, at, out_type, comm, request);
}
int MPI_Neighbor_allgatherv_init(In in, int in_count, Handle in_type, Out out, Ints counts, Ints at, Handle out_type, Handle comm,
                                 Handle info, Request request) {
  return forward<"MPI_Neighbor_allgatherv_init">(in, in_count, in_type, out, counts, at, out_type, comm, info, request);
}
int MPI_Neighbor_allgatherv_init_c(In in, Count in_count, Handle in_type, Out out, Counts counts, Counts at, Handle out_type,
                                   Handle comm, Handle info, Request request) {
  return forward<"MPI_Neighbor_allgatherv_init_c">(in, in_count, in_type, out, counts, at, out_type, comm, info, request);
}
int MPI_Neighbor_alltoall(In in, int in_count, Handle in_type, Out out, int out_count, Handle out_type, Handle comm) {
  return forward<"MPI_Neighbor_alltoall">(in, in_count, in_type, out, out_count, out_type, comm);
}
int MPI_Neighbor_alltoall_c(In in, Count in_count, Handle in_type, Out out, Count out_count, Handle out_type, Handle comm) {
  return forward<"MPI_Neighbor_alltoall_c">(in, in_count, in_type, out, out_count, out_type, comm);
}
int MPI_Ineighbor_alltoall(In in, int in_count, Handle in_type, Out out, int out_count, Handle out_type, Handle comm,
                           Request request) {
  return forward<"MPI_Ineighbor_alltoall">(in, in_count, in_type, out, out_count, out_type, comm, request);
}
int MPI_Ineighbor_alltoall_c(In in, Count in_count, Handle in_type, Out out, Count out_count, Handle out_type, Handle comm,
                             Request request) {
  return forward<"MPI_Ineighbor_alltoall_c">(in, in_count, in_type, out, out_count, out_type, comm, request);
}
int MPI_Neighbor_alltoall_init(In in, int in_count, Handle in_type, Out out, int out_count, Handle out_type, Handle comm,
                               Handle info, Request request) {
  return forward<"MPI_Neighbor_alltoall_init">(in, in_count, in_type, out, out_count, out_type, comm, info, request);
}
int MPI_Neighbor_alltoall_init_c(In in, Count in_count, Handle in_type, Out out, Count out_count, Handle out_type, Handle comm,
                                 Handle info, Request request) {
  return forward<"MPI_Neighbor_alltoall_init_c">(in, in_count, in_type, out, out_count, out_type, comm, info, request);
}
int MPI_Neighbor_alltoallv(In in, Ints in_counts, Ints in_at, Handle in_type, Out out, Ints out_counts, Ints out_at,
                           Handle out_type, Handle comm) {
  return forward<"MPI_Neighbor_alltoallv">(in, in_counts, in_at, in_type, out, out_counts, out_at, out_type, comm);
}
int MPI_Neighbor_alltoallv_c(In in, Counts in_counts, Counts in_at, Handle in_type, Out out, Counts out_counts, Counts out_at,
                             Handle out_type, Handle comm) {
  return forward<"MPI_Neighbor_alltoallv_c">(in, in_counts, in_at, in_type, out, out_counts, out_at, out_type, comm);
}
int MPI_Ineighbor_alltoallv(In in, Ints in_counts, Ints in_at, Handle in_type, Out out, Ints out_counts, Ints out_at,
                            Handle out_type, Handle comm, Request request) {
  return forward<"MPI_Ineighbor_alltoallv">(in, in_counts, in_at, in_type, out, out_counts, out_at, out_type, comm, request);
}
int MPI_Ineighbor_alltoallv_c(In in, Counts in_counts, Counts in_at, Handle in_type, Out out, Counts out_counts, Counts out_at,
                              Handle out_type, Handle comm, Request request) {
  return forward<"MPI_Ineighbor_alltoallv_c">(in, in_counts, in_at, in_type, out, out_counts, out_at, out_type, comm, request);
}
int MPI_Neighbor_alltoallv_init(In in, Ints in_counts, Ints in_at, Handle in_type, Out out, Ints out_counts, Ints out_at,
                                Handle out_type, Handle comm, Handle info, Request request) {
  return forward<"MPI_Neighbor_alltoallv_init">(in, in_counts, in_at, in_type, out, out_counts, out_at, out_type, comm, info,
                                                request);
}
int MPI_Neighbor_alltoallv_init_c(In in, Counts in_counts, Counts in_at, Handle in_type, Out out, Counts out_counts,
                                  Counts out_at, Handle out_type, Handle comm, Handle info, Request request) {
  return forward<"MPI_Neighbor_alltoallv_init_c">(in, in_counts, in_at, in_type, out, out_counts, out_at, out_type, comm, info,
                                                  request);
}
int MPI_Neighbor_alltoallw(In in, Ints in_counts, Aints in_at, Types in_types, Out out, Ints out_counts, Aints out_at,
                           Types out_types, Handle comm) {
  return forward<"MPI_Neighbor_alltoallw">(in, in_counts, in_at, in_types, out, out_counts, out_at, out_types, comm);
}
int MPI_Neighbor_alltoallw_c(In in, Counts in_counts, Aints in_at, Types in_types, Out out, Counts out_counts, Aints out_at,
                             Types out_types, Handle comm) {
  return forward<"MPI_Neighbor_alltoallw_c">(in, in_counts, in_at, in_types, out, out_counts, out_at, out_types, comm);
}
int MPI_Ineighbor_alltoallw(In in, Ints in_counts, Aints in_at, Types in_types, Out out, Ints out_counts, Aints out_at,
                            Types out_types, Handle comm, Request request) {
  return forward<"MPI_Ineighbor_alltoallw">(in, in_counts, in_at, in_types, out, out_counts, out_at, out_types, comm, request);
}
int MPI_Ineighbor_alltoallw_c(In in, Counts in_counts, Aints in_at, Types in_types, Out out, Counts out_counts, Aints out_at,
                              Types out_types, Handle comm, Request request) {
  return forward<"MPI_Ineighbor_alltoallw_c">(in, in_counts, in_at, in_types, out, out_counts, out_at, out_types, comm, request);
}
int MPI_Neighbor_alltoallw_init(In in, Ints in_counts, Aints in_at, Types in_types, Out out, Ints out_counts, Aints out_at,
                                Types out_types, Handle comm, Handle info, Request request) {
  return forward<"MPI_Neighbor_alltoallw_init">(in, in_counts, in_at, in_types, out, out_counts, out_at, out_types, comm, info,
                                                request);
}
int MPI_Neighbor_alltoallw_init_c(In in, Counts in_counts, Aints in_at, Types in_types, Out out, Counts out_counts, Aints out_at,
                                  Types out_types, Handle comm, Handle info, Request request) {
  return forward<"MPI_Neighbor_alltoallw_init_c">(in, in_counts, in_at, in_types, out, out_counts, out_at, out_types, comm, info,
                                                  request);
}

}  // extern "C"
