#include "mpi/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <bit>
#include <cstdio>
#include <map>
#include <mutex>
#include <set>

#include "core/config.h"

namespace tutti::mpi {
namespace {

constexpr std::array<std::string_view, kKinds> kNames{
    "Barrier",        "Bcast",    "Gather",    "Gatherv",   "Scatter", "Scatterv",  "Allgather",
    "Allgatherv",     "Alltoall", "Alltoallv", "Alltoallw", "Reduce",  "Allreduce", "Reduce_scatter_block",
    "Reduce_scatter", "Scan",     "Exscan"};
std::string_view name(Kind kind) { return kNames[static_cast<std::size_t>(kind)]; }

struct Served {
  std::uint64_t calls = 0;
  Count bytes = 0;
  double seconds = 0;
  std::set<std::string> algorithms;
};

// Only where somebody wants to know; so one lock will do.
struct Notes {
  std::mutex mutex;
  std::map<std::pair<Kind, int>, Served> served;  // by the size class: bytes below 8^n
  std::map<std::pair<Kind, std::string>, std::uint64_t> left;
  std::uint64_t checked = 0, differing = 0;
};
Notes& notes() {
  static auto& one = *new Notes;
  return one;
}

int size_class(Count bytes) { return (std::bit_width(static_cast<std::uint64_t>(bytes)) + 2) / 3; }

std::string table(const Notes& n) {
  std::string text =
      fmt::format("# tutti: collectives of rank 0 of this MPI program\n{:<22} {:>9} {:>10} {:>14} {:>12} {:>10}  {}\n",
                  "# served", "below", "calls", "bytes", "seconds", "us/call", "algorithms");
  for (const auto& [key, s] : n.served)
    text += fmt::format("MPI_{:<18} {:>9} {:>10} {:>14} {:>12.6f} {:>10.2f}  {}\n", name(key.first),
                        format_bytes(1ULL << (3 * key.second)), s.calls, s.bytes, s.seconds,
                        1e6 * s.seconds / static_cast<double>(s.calls), fmt::join(s.algorithms, ","));
  if (!n.left.empty()) text += fmt::format("{:<22} {:>20}  {}\n", "# left to MPI", "calls", "reason");
  for (const auto& [key, calls] : n.left) text += fmt::format("MPI_{:<18} {:>20}  {}\n", name(key.first), calls, key.second);
  if (n.checked > 0)
    text += fmt::format("# {} results were compared with the MPI library's: {} differ\n", n.checked, n.differing);
  return text;
}

const std::string& destination() {
  static const auto& where = *new std::string([] {
    auto config = Config::from_environment();
    return config ? config->text(Var::mpi_report) : std::string();
  }());
  return where;
}

}  // namespace

bool report_wanted() { return !destination().empty(); }

void note_served(Kind kind, const Attached& a, Duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  const std::string algorithm = a.communicator->last_algorithm();
  if (log_enabled(LogLevel::debug))
    log(LogLevel::debug,
        fmt::format("MPI_{} of {} ranks, {} bytes: {:.2f} us, {}", name(kind), a.size, a.bytes, 1e6 * seconds, algorithm));
  Notes& n = notes();
  const std::lock_guard lock(n.mutex);
  Served& s = n.served[{kind, size_class(a.bytes)}];
  ++s.calls;
  s.bytes += a.bytes;
  s.seconds += seconds;
  s.algorithms.insert(algorithm);
}

void note_left(Kind kind, std::string_view reason) {
  if (log_enabled(LogLevel::debug))
    log(LogLevel::debug, fmt::format("MPI_{} is left to the MPI library: {}", name(kind), reason));
  Notes& n = notes();
  const std::lock_guard lock(n.mutex);
  ++n.left[{kind, std::string(reason)}];
}

void note_check(Kind kind, const Attached& a, const std::string& difference) {
  Notes& n = notes();
  const std::lock_guard lock(n.mutex);
  ++n.checked;
  if (difference.empty()) return;
  ++n.differing;
  log(LogLevel::error, fmt::format("TUTTI_MPI_CHECK: MPI_{} on rank {} of {}: {}", name(kind), a.rank, a.size, difference));
}

void print_report() {
  Notes& n = notes();
  const std::lock_guard lock(n.mutex);
  int rank = 0;
  pmpi::comm_rank(abi().comm_world, &rank);
  if (n.differing > 0)
    fmt::print(stderr, "tutti: TUTTI_MPI_CHECK: {} of {} results on rank {} differ from the MPI library's\n", n.differing,
               n.checked, rank);
  if (!report_wanted() || rank != 0) return;
  const std::string& where = destination();
  std::FILE* file = where == "1" ? stderr : std::fopen(where.c_str(), "w");
  if (file == nullptr) {
    fmt::print(stderr, "tutti: cannot write TUTTI_MPI_REPORT={}\n", where);
    return;
  }
  fmt::print(file, "{}", table(n));
  if (file != stderr) std::fclose(file);
}

}  // namespace tutti::mpi
