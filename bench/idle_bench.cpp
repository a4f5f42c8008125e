// What ranks use of the processor while they wait: rank 0 comes to an all_reduce late, and the others, which are blocked in it
// meanwhile, say what their processes have used until it was done. Ranks are processes, by the transports and numbers chosen.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "rank_processes.h"
#include "tutti/communicator.h"

namespace {

constexpr int kMostBlocked = 255;

struct Use {
  double user_s = 0, system_s = 0, voluntary = 0, involuntary = 0;  // the latter two: context switches
  [[nodiscard]] double cpu_s() const { return user_s + system_s; }
};

// What all processes see.
struct Shared {
  tutti::UniqueId id;
  std::atomic<bool> has_id{false};
  Use per_second[kMostBlocked + 1];
};

struct Case {
  std::string transport;
  int blocked;
  double seconds;
  std::size_t bytes;
};

Use use_so_far() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec); };
  return {seconds(u.ru_utime), seconds(u.ru_stime), static_cast<double>(u.ru_nvcsw), static_cast<double>(u.ru_nivcsw)};
}

void run_rank(const Case& c, int me, Shared& shared) {
  if (me == 0) {
    shared.id = tutti::create_unique_id().value_or_throw();
    shared.has_id = true;
  }
  while (!shared.has_id) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  auto comm = tutti::Communicator::create(shared.id, me, c.blocked + 1, {.transports = c.transport}).value_or_throw();
  std::vector<float> in(std::max<std::size_t>(c.bytes / sizeof(float), 1), 1), out(in.size());
  const auto reduce = [&] { comm.all_reduce<float>(in, out).value_or_throw(); };
  for (int i = 0; i < 10; ++i) reduce();  // all are connected, and have their plan

  if (me == 0) std::this_thread::sleep_for(std::chrono::duration<double>(c.seconds));
  const Use before = use_so_far();
  const auto start = tutti::Clock::now();
  reduce();
  const double waited = tutti::seconds_since(start);
  const Use after = use_so_far();
  shared.per_second[me] = {(after.user_s - before.user_s) / waited, (after.system_s - before.system_s) / waited,
                           (after.voluntary - before.voluntary) / waited, (after.involuntary - before.involuntary) / waited};
}

void print(const Case& c, const Shared& shared) {
  Use mean;
  double most = 0;
  for (int r = 1; r <= c.blocked; ++r) {
    const Use& u = shared.per_second[r];
    mean.user_s += u.user_s / c.blocked;
    mean.system_s += u.system_s / c.blocked;
    mean.voluntary += u.voluntary / c.blocked;
    mean.involuntary += u.involuntary / c.blocked;
    most = std::max(most, u.cpu_s());
  }
  fmt::print("{:>9} {:>8} {:>10.3f} {:>10.3f} {:>10.3f} {:>10.1f} {:>12.1f}\n", c.transport, c.blocked, mean.user_s * 1e3,
             mean.system_s * 1e3, most * 1e3, mean.voluntary, mean.involuntary);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"What ranks use of the processor while they wait in an all_reduce for rank 0"};
  std::vector<std::string> transports{"shm", "tcp"};
  std::vector<int> blocked{1, 3, 15};
  double seconds = 3;
  std::size_t bytes = 8;
  app.add_option("--transports", transports, "As in TUTTI_TRANSPORT, one after the other")->capture_default_str();
  app.add_option("--blocked", blocked, "Numbers of ranks that wait")->check(CLI::Range(1, kMostBlocked))->capture_default_str();
  app.add_option("--seconds", seconds, "How late rank 0 comes")->check(CLI::Range(0.1, 3600.0))->capture_default_str();
  app.add_option("--bytes", bytes, "Of the all_reduce")->check(CLI::Range(4, 1 << 30))->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  fmt::print("Rank 0 comes {} s late to an all_reduce of {} bytes. Of each rank that waits, for each second: mean, and most\n",
             seconds, bytes);
  fmt::print("{:>9} {:>8} {:>10} {:>10} {:>10} {:>10} {:>12}\n{:>9} {:>8} {:>10} {:>10} {:>10} {:>10} {:>12}\n", "", "waiting",
             "user", "system", "most CPU", "voluntary", "involuntary", "transport", "ranks", "ms", "ms", "ms", "switches",
             "switches");
  bool well = true;
  for (const std::string& transport : transports)
    for (const int n : blocked) {
      auto* shared = new (memory) Shared;
      const Case c{transport, n, seconds, bytes};
      const auto body = [&](int me) { run_rank(c, me, *shared); };
      if (tutti::bench::run_ranks(n + 1, "idle_bench: " + transport, body))
        print(c, *shared);
      else
        well = false;
    }
  return well ? 0 : 1;
}
