// What an all_reduce over RDMA costs, as far as it can be counted: requests to the device, calls that hand them to it,
// completions, bytes sent and bytes copied on the way, and packets. Ranks are processes; each figure is of one rank and one call,
// the mean over the calls and the ranks. Beside the bytes sent stands the least that ranks have to send each, 2 (p - 1) / p of
// the data.
//
// Run by run.py in the virtual machine of tests/verbs, under strace too, which counts system calls.
#include <fmt/format.h>
#include <sys/mman.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <thread>

#include "bench/rank_processes.h"
#include "tests/transports/counting_verbs.h"
#include "tutti/communicator.h"
#include "tutti/memory.h"

namespace tutti::verbs {

// Of the library that is linked.
const Result<Library>& library() {
  static const Result<Library> result = load_counting_library();
  return result;
}

}  // namespace tutti::verbs

namespace {

using tutti::verbs::VerbsCounts;

constexpr int kMostRanks = 16;

struct Options {
  int ranks = 2, calls = 20;
  std::vector<std::size_t> bytes{8, 64 << 10, 4 << 20};
  std::string device = "rxe2";
};

// What all processes see.
struct Shared {
  tutti::UniqueId id;
  std::atomic<bool> has_id{false};
  VerbsCounts counts[kMostRanks];
};

std::uint64_t packets(const std::string& device) {
  std::ifstream file("/sys/class/infiniband/" + device + "/ports/1/hw_counters/sent_pkts");
  std::uint64_t count = 0;
  file >> count;
  return count;
}

void print(const Options& o, std::size_t bytes, const std::string& algorithm, const Shared& shared, double packets) {
  VerbsCounts sum;
  for (int r = 0; r < o.ranks; ++r) sum += shared.counts[r];
  const auto mean = [&](auto count) { return static_cast<double>(count) / o.ranks / o.calls; };
  const double least = 2.0 * (o.ranks - 1) / o.ranks * static_cast<double>(bytes);
  fmt::print("{:>5} {:>8}  {:<28} {:>9.2f} {:>9.2f} {:>9.2f} {:>11.2f} {:>12.0f} {:>9.2f} {:>12.0f} {:>9.1f}\n", o.ranks, bytes,
             algorithm, mean(sum.requests), mean(sum.doorbells), mean(sum.reported), mean(sum.completions), mean(sum.bytes),
             mean(sum.bytes) / least, mean(sum.copied), packets / o.ranks / o.calls);
}

void run_rank(const Options& o, int me, Shared& shared) {
  if (me == 0) {
    shared.id = tutti::create_unique_id().value_or_throw();
    shared.has_id = true;
  }
  while (!shared.has_id) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  auto comm = tutti::Communicator::create(shared.id, me, o.ranks, {.transports = "verbs"}).value_or_throw();
  for (const std::size_t bytes : o.bytes) {
    const tutti::Memory memory = tutti::allocate(2 * bytes).value_or_throw();
    const std::size_t count = bytes / sizeof(float);
    auto* first = static_cast<float*>(memory.data());
    const std::span<float> input(first, count), output(first + count, count);
    std::ranges::fill(input, static_cast<float>(me + 1));
    const auto reduce = [&] { comm.all_reduce<float>(input, output).value_or_throw(); };
    for (int i = 0; i < 3; ++i) reduce();
    comm.barrier().value_or_throw();
    const std::uint64_t packets_before = packets(o.device);
    comm.barrier().value_or_throw();
    const VerbsCounts before = tutti::verbs::verbs_counts();
    for (int i = 0; i < o.calls; ++i) reduce();
    shared.counts[me] = tutti::verbs::verbs_counts() - before;
    const std::string algorithm = comm.last_algorithm();
    comm.barrier().value_or_throw();
    if (!std::ranges::all_of(output, [&](float v) { return v == static_cast<float>(o.ranks * (o.ranks + 1) / 2); }))
      throw std::runtime_error(fmt::format("an all_reduce of {} bytes has a wrong result", bytes));
    if (me == 0) print(o, bytes, algorithm, shared, static_cast<double>(packets(o.device) - packets_before));
    comm.barrier().value_or_throw();
  }
  if (me == 0) std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"What an all_reduce over RDMA costs, counted"};
  Options o;
  bool heading = true;
  app.add_option("--ranks", o.ranks)->check(CLI::Range(2, kMostRanks))->capture_default_str();
  app.add_option("--calls", o.calls)->check(CLI::Range(1, 1000000))->capture_default_str();
  app.add_option("--bytes", o.bytes)->capture_default_str();
  app.add_option("--device", o.device, "Whose packets are counted")->capture_default_str();
  app.add_flag("!--no-heading", heading);
  CLI11_PARSE(app, argc, argv);
  if (heading)
    fmt::print("{:>5} {:>8}  {:<28} {:>9} {:>9} {:>9} {:>11} {:>12} {:>9} {:>12} {:>9}\n", "ranks", "bytes", "algorithm",
               "requests", "doorbells", "reported", "completions", "bytes sent", "of least", "copied", "packets");
  std::fflush(stdout);
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  auto* shared = new (memory) Shared;
  return tutti::bench::run_ranks(o.ranks, "verbs_counts", [&](int me) { run_rank(o, me, *shared); }) ? 0 : 1;
}
