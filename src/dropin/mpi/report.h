// What was served and what was left to the MPI library: TUTTI_MPI_REPORT tells it at MPI_Finalize, TUTTI_LOG=debug call by call.
#pragma once

#include <string_view>

#include "core/clock.h"
#include "core/log.h"
#include "mpi/attached.h"

namespace tutti::mpi {

enum class Kind : std::uint8_t {
  barrier,
  bcast,
  gather,
  gatherv,
  scatter,
  scatterv,
  allgather,
  allgatherv,
  alltoall,
  alltoallv,
  alltoallw,
  reduce,
  allreduce,
  reduce_scatter_block,
  reduce_scatter,
  scan,
  exscan,
};
inline constexpr int kKinds = 17;

// Whether anybody wants to know; then calls are timed.
[[nodiscard]] bool report_wanted();
[[nodiscard]] inline bool observed() { return report_wanted() || log_enabled(LogLevel::debug); }

void note_served(Kind kind, const Attached& a, Duration took);
void note_left(Kind kind, std::string_view reason);
// A result that differs from the MPI library's, or none.
void note_check(Kind kind, const Attached& a, const std::string& difference);

// Rank 0 of MPI_COMM_WORLD prints; every rank that has seen differences says so.
void print_report();

}  // namespace tutti::mpi
