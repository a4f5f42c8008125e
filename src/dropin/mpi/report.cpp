#include "mpi/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cstdio>
#include <map>
#include <mutex>
#include <set>

#include "core/config.h"
#include "tutti/memory.h"

namespace tutti::mpi {
namespace {

struct Cost {
  std::uint64_t calls = 0;
  double seconds = 0;

  void add(double took) { ++calls, seconds += took; }
  [[nodiscard]] double microseconds_per_call() const { return 1e6 * seconds / static_cast<double>(calls); }
};
struct Served {
  Cost cost;
  Count bytes = 0;
  std::set<std::string> algorithms;
};

// Only where somebody wants to know; so one lock will do.
struct Notes {
  std::mutex mutex;
  std::map<std::pair<std::string, int>, Served> served;      // by the size class: bytes below 8^n
  std::map<std::pair<std::string, std::string>, Cost> left;  // by the reason
  std::uint64_t checked = 0, differing = 0;
};
Notes& notes() {
  static auto& one = *new Notes;
  return one;
}

int size_class(Count bytes) { return (std::bit_width(static_cast<std::uint64_t>(bytes)) + 2) / 3; }

std::string table(const Notes& n) {
  std::string text = "# tutti: collectives of rank 0 of this MPI program\n";
  if (!n.served.empty())
    text += fmt::format("{:<28} {:>9} {:>10} {:>14} {:>12} {:>10}  {}\n", "# served", "below", "calls", "bytes", "seconds",
                        "us/call", "algorithms");
  for (const auto& [key, s] : n.served)
    text +=
        fmt::format("MPI_{:<24} {:>9} {:>10} {:>14} {:>12.6f} {:>10.2f}  {}\n", key.first, format_bytes(1ULL << (3 * key.second)),
                    s.cost.calls, s.bytes, s.cost.seconds, s.cost.microseconds_per_call(), fmt::join(s.algorithms, ","));
  if (!n.left.empty())
    text += fmt::format("{:<28} {:>20} {:>27} {:>10}  {}\n", "# left to MPI", "calls", "seconds", "us/call", "reason");
  for (const auto& [key, cost] : n.left)
    text += fmt::format("MPI_{:<24} {:>20} {:>27.6f} {:>10.2f}  {}\n", key.first, cost.calls, cost.seconds,
                        cost.microseconds_per_call(), key.second);
  if (const AdoptionReport adopted = adoption_report(); adopted.adopted > 0 || !adopted.refused.empty())
    text += fmt::format("# buffers of rank 0: {}\n", to_string(adopted));
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

void note_served(std::string_view name, const Attached& a, Duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  const std::string algorithm = a.communicator->last_algorithm();
  if (log_enabled(LogLevel::debug))
    log(LogLevel::debug,
        fmt::format("MPI_{} of {} ranks, {} bytes: {:.2f} us, {}", name, a.size, a.bytes, 1e6 * seconds, algorithm));
  Notes& n = notes();
  const std::lock_guard lock(n.mutex);
  Served& s = n.served[{std::string(name), size_class(a.bytes)}];
  s.cost.add(seconds);
  s.bytes += a.bytes;
  s.algorithms.insert(algorithm);
}

void note_left(std::string_view name, std::string_view reason, Duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  if (log_enabled(LogLevel::debug))
    log(LogLevel::debug, fmt::format("MPI_{} is left to the MPI library: {:.2f} us, {}", name, 1e6 * seconds, reason));
  Notes& n = notes();
  const std::lock_guard lock(n.mutex);
  n.left[{std::string(name), std::string(reason)}].add(seconds);
}

void note_check(std::string_view name, const Attached& a, const std::string& difference) {
  Notes& n = notes();
  const std::lock_guard lock(n.mutex);
  ++n.checked;
  if (difference.empty()) return;
  ++n.differing;
  log(LogLevel::error, fmt::format("TUTTI_MPI_CHECK: MPI_{} on rank {} of {}: {}", name, a.rank, a.size, difference));
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
