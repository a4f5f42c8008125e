// What was served and what was left to the MPI library: TUTTI_MPI_REPORT tells it at MPI_Finalize, TUTTI_LOG=debug call by call.
#pragma once

#include <string_view>

#include "core/clock.h"
#include "core/log.h"
#include "mpi/attached.h"

namespace tutti::mpi {

// Whether anybody wants to know; then calls are timed.
[[nodiscard]] bool report_wanted();
[[nodiscard]] inline bool observed() { return report_wanted() || log_enabled(LogLevel::debug); }

// Names are those of the standard, without "MPI_".
void note_served(std::string_view name, const Attached& a, Duration took);
void note_left(std::string_view name, std::string_view reason, Duration took);
// A result that differs from the MPI library's, or none.
void note_check(std::string_view name, const Attached& a, const std::string& difference);

// A call that the MPI library does, and why.
template <class Call>
int leave(std::string_view name, std::string_view reason, Call&& call) {
  if (!observed()) return call();
  const TimePoint start = Clock::now();
  const int code = call();
  note_left(name, reason, Clock::now() - start);
  return code;
}

// Rank 0 of MPI_COMM_WORLD prints; every rank that has seen differences says so.
void print_report();

}  // namespace tutti::mpi
