// What a cache line costs that goes back and forth between two cores: one writes memory, the other reads it, and the first writes
// it again. In turn: the reader only reads; and it hands back what it has read, as LinkTuning::handed_back_below lets it, by
// writing to each line what is there. Nanoseconds for each line, the median of many rounds, on the first two cores of the
// process.
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

#include "core/clock.h"

namespace {

using tutti::Clock;

constexpr std::size_t kLine = 64, kWords = kLine / sizeof(std::uint64_t);
constexpr std::array<std::size_t, 4> kSizes{32u << 10, 256u << 10, 2u << 20, 8u << 20};

struct Times {
  std::vector<double> write, read, write_handed_back, read_handed_back;
};

// Neither core may fall asleep, which would empty its caches.
class Turn {
 public:
  void pass(bool first) {
    const std::uint64_t at = mine(first).fetch_add(1) + 1;
    while (mine(!first).load() < at) tutti::cpu_relax();
  }

 private:
  std::atomic<std::uint64_t>& mine(bool first) { return passed_[first ? 0 : 1].number; }
  struct alignas(kLine) Passed {
    std::atomic<std::uint64_t> number{0};
  };
  std::array<Passed, 2> passed_;
};

void pin(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

// That this process may use.
std::vector<int> cpus() {
  cpu_set_t all;
  std::vector<int> found;
  if (sched_getaffinity(0, sizeof all, &all) != 0) return found;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &all)) found.push_back(cpu);
  return found;
}

double median_ns(std::vector<double> seconds, std::size_t lines) {
  std::ranges::nth_element(seconds, seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2));
  return 1e9 * seconds[seconds.size() / 2] / static_cast<double>(lines);
}

void read(std::vector<std::uint64_t>& memory, bool hands_back, volatile std::uint64_t& sum) {
  std::uint64_t s = 0;
  for (const std::uint64_t word : memory) s += word;
  sum = s;
  if (!hands_back) return;
  for (std::size_t at = 0; at < memory.size(); at += kWords) {
    volatile std::uint64_t& word = memory[at];
    word = word;
  }
}

Times measure(std::size_t bytes, int rounds, std::span<const int> on) {
  std::vector<std::uint64_t> memory(bytes / sizeof(std::uint64_t));
  Times times;
  Turn turn;
  const auto timed = [](std::vector<double>& into, auto&& act) {
    const auto start = Clock::now();
    act();
    into.push_back(tutti::seconds_since(start));
  };
  const auto both = [&](bool writes) {
    pin(on[writes ? 0 : 1]);
    volatile std::uint64_t sum = 0;
    for (const bool handed_back : {false, true})
      for (int round = 0; round < rounds; ++round) {
        if (writes)
          timed(handed_back ? times.write_handed_back : times.write, [&] { std::ranges::fill(memory, round); });
        turn.pass(writes);
        if (!writes) timed(handed_back ? times.read_handed_back : times.read, [&] { read(memory, handed_back, sum); });
        turn.pass(writes);
      }
  };
  std::thread reader(both, false);
  both(true);
  reader.join();
  return times;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What a cache line costs that one core writes and another reads, again and again");
  int rounds = 300;
  app.add_option("--rounds", rounds)->capture_default_str()->check(CLI::Range(1, 1'000'000));
  CLI11_PARSE(app, argc, argv);
  const std::vector<int> on = cpus();
  if (on.size() < 2) {
    fmt::print(stderr, "lines_bench: it needs two cores\n");
    return 1;
  }
  fmt::print("ns for each line {:>14} {:>14} {:>24} {:>14}\n", "to write", "to read", "handed back: to write", "to read");
  for (const std::size_t bytes : kSizes) {
    const Times t = measure(bytes, rounds, on);
    const std::size_t lines = bytes / kLine;
    fmt::print("{:>16} {:>14.1f} {:>14.1f} {:>24.1f} {:>14.1f}\n", bytes, median_ns(t.write, lines), median_ns(t.read, lines),
               median_ns(t.write_handed_back, lines), median_ns(t.read_handed_back, lines));
  }
}
