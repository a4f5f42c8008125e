// What NCCL's interface costs on buffers of the host: the same calls by libnccl.so.2 and by the C++ interface, in turns in the
// same processes, each on a communicator of its own. Ranks are processes.
#include <fmt/format.h>
#include <nccl.h>
#include <sys/mman.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/config.h"
#include "rank_processes.h"
#include "tutti/communicator.h"

namespace {

// What all processes see.
struct Shared {
  tutti::UniqueId id;
  ncclUniqueId nccl_id;
  std::atomic<bool> has_ids{false};
};

struct Plan {
  int ranks = 2;
  int rounds = 9;
  double batch_ms = 5;
  std::vector<std::string> sizes{"8", "64", "512", "4K", "32K", "256K", "2M", "16M", "64M"};
  std::vector<std::string> collectives{"all_reduce", "all_gather"};
};

void check(ncclResult_t result) {
  if (result != ncclSuccess)
    throw std::runtime_error(fmt::format("{}: {}", ncclGetErrorString(result), ncclGetLastError(nullptr)));
}

using Way = std::function<void()>;

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Microseconds a call, of so many calls one after the other.
double time_of(tutti::Communicator& comm, const Way& call, int calls) {
  comm.barrier().value_or_throw();
  const auto start = tutti::Clock::now();
  for (int i = 0; i < calls; ++i) call();
  return tutti::seconds_since(start) * 1e6 / calls;
}

// As many as fill the time of a batch on rank 0, which tells the others.
int calls_in(tutti::Communicator& comm, const Way& call, double batch_ms) {
  for (int i = 0; i < 3; ++i) call();
  int calls = static_cast<int>(std::clamp(batch_ms * 1e3 / time_of(comm, call, 5), 3.0, 5000.0));
  comm.broadcast(std::span(&calls, 1), 0).value_or_throw();
  return calls;
}

void measure(const Plan& plan, tutti::Communicator& comm, ncclComm_t nccl, const std::string& collective, std::size_t bytes) {
  const bool gathers = collective == "all_gather";
  const std::size_t count = std::max<std::size_t>(bytes / sizeof(float), 1);
  std::vector<float> in(count, 1), out(count * (gathers ? static_cast<std::size_t>(comm.size()) : 1));
  const Way direct = [&] { (gathers ? comm.all_gather<float>(in, out) : comm.all_reduce<float>(in, out)).value_or_throw(); };
  const Way by_nccl = [&] {
    check(gathers ? ncclAllGather(in.data(), out.data(), count, ncclFloat, nccl, nullptr)
                  : ncclAllReduce(in.data(), out.data(), count, ncclFloat, ncclSum, nccl, nullptr));
  };
  for (int i = 0; i < 3; ++i) by_nccl();
  const int calls = calls_in(comm, direct, plan.batch_ms);
  std::vector<double> ours, theirs, ratios;
  for (int round = 0; round < plan.rounds; ++round) {
    const bool first = round % 2 == 0;
    const double one = time_of(comm, first ? direct : by_nccl, calls), other = time_of(comm, first ? by_nccl : direct, calls);
    ours.push_back(first ? one : other);
    theirs.push_back(first ? other : one);
    ratios.push_back(theirs.back() / ours.back());
  }
  if (comm.rank() != 0) return;
  fmt::print("{:>10} {:>10} {:>10.2f} {:>10.2f} {:>7.3f} {:>7.3f} {:>7.3f}\n", collective, tutti::format_bytes(bytes),
             median(ours), median(theirs), median(ratios), *std::ranges::min_element(ratios), *std::ranges::max_element(ratios));
  std::fflush(stdout);
}

void run_rank(const Plan& plan, int me, Shared& shared) {
  if (me == 0) {
    shared.id = tutti::create_unique_id().value_or_throw();
    check(ncclGetUniqueId(&shared.nccl_id));
    shared.has_ids = true;
  }
  while (!shared.has_ids) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  auto comm = tutti::Communicator::create(shared.id, me, plan.ranks).value_or_throw();
  ncclComm_t nccl = nullptr;
  check(ncclCommInitRank(&nccl, plan.ranks, shared.nccl_id, me));
  for (const std::string& collective : plan.collectives)
    for (const std::string& size : plan.sizes) measure(plan, comm, nccl, collective, tutti::parse_bytes(size).value_or_throw());
  check(ncclCommDestroy(nccl));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"What libnccl.so.2 takes on buffers of the host, beside tutti's C++ interface"};
  Plan plan;
  app.add_option("--ranks", plan.ranks)->check(CLI::Range(2, 64))->capture_default_str();
  app.add_option("--sizes", plan.sizes, "Bytes that a rank gives")->delimiter(',')->capture_default_str();
  app.add_option("--collectives", plan.collectives)
      ->delimiter(',')
      ->check(CLI::IsMember({"all_reduce", "all_gather"}))
      ->capture_default_str();
  app.add_option("--rounds", plan.rounds, "In which the two take turns")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--batch-ms", plan.batch_ms, "About so long one of them runs")
      ->check(CLI::Range(0.1, 10000.0))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  for (const std::string& size : plan.sizes)
    if (auto bytes = tutti::parse_bytes(size); !bytes) {
      fmt::print(stderr, "nccl_bench: {}\n", bytes.error().to_string());
      return 2;
    }

  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* shared = new (memory) Shared;
  fmt::print("{} ranks, medians of {} rounds; us a call on rank 0, and NCCL's time over tutti's: median, least, most\n",
             plan.ranks, plan.rounds);
  fmt::print("{:>10} {:>10} {:>10} {:>10} {:>7} {:>7} {:>7}\n", "", "bytes", "tutti us", "nccl us", "ratio", "least", "most");
  std::fflush(stdout);
  const auto body = [&](int me) { run_rank(plan, me, *shared); };
  return tutti::bench::run_ranks(plan.ranks, "nccl_bench", body) ? 0 : 1;
}
