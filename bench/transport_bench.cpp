// What shared memory costs: an exchange of 8 bytes between two pinned processes beside the bare exchange of two flags that it
// is built on, measured in turns in one run; and the rate of large messages, one way and both ways.
//
//   transport_bench [transport] [rounds]
#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "core/clock.h"
#include "transports/registry.h"

namespace tutti {
namespace {

// Shared by the two processes.
struct Stage {
  struct alignas(64) Flag {
    std::atomic<std::uint64_t> value{0};
  };
  Flag flags[2][2];  // of a rank, two in turn
  Flag barrier[2];
  std::array<std::array<std::byte, 512>, 2> addresses;
  std::array<std::atomic<std::size_t>, 2> address_sizes;
};

struct Bench {
  Stage& stage;
  int me;
  Endpoint& endpoint;
  std::uint64_t epoch = 0;
  std::uint64_t barriers = 0;
  std::uint32_t sequence = 0;

  void barrier() {
    stage.barrier[me].value.store(++barriers);
    while (stage.barrier[1 - me].value.load() < barriers) cpu_relax();
  }

  void flags() {
    ++epoch;
    stage.flags[me][epoch % 2].value.store(epoch, std::memory_order_release);
    while (stage.flags[1 - me][epoch % 2].value.load(std::memory_order_acquire) < epoch) continue;
  }

  // Both post, both wait for what they posted.
  void exchange(ConstBytes out, Bytes in) {
    const Signature signature{.count = out.size() + in.size(), .sequence = ++sequence};
    std::uint32_t left = 0;
    if (!out.empty() && !endpoint.post_send(signature, out).value_or_throw()) ++left;
    if (!in.empty() && !endpoint.post_recv(signature, {.data = in.data(), .size = in.size()}).value_or_throw()) ++left;
    while (left > 0) {
      const auto progress = endpoint.poll().value_or_throw();
      left -= progress.sends + progress.recvs;
    }
  }
};

template <class F>
double microseconds(int times, const F& f) {
  const TimePoint start = Clock::now();
  for (int i = 0; i < times; ++i) f();
  return seconds_since(start) * 1e6 / times;
}

struct Sample {
  std::vector<double> values;
  void add(double value) { values.push_back(value); }
  double at(double part) {
    std::ranges::sort(values);
    return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
  }
};

void small_messages(Bench& bench, int rounds) {
  Sample flags;
  const std::size_t sizes[] = {8, 32, 256, 1024, 4096};
  std::array<Sample, 5> exchanges;
  std::vector<std::byte> out(4096), in(4096);
  for (int round = 0; round < rounds; ++round) {
    bench.barrier();
    flags.add(microseconds(2000, [&] { bench.flags(); }));
    for (std::size_t i = 0; i < std::size(sizes); ++i) {
      bench.barrier();
      exchanges[i].add(microseconds(2000, [&] { bench.exchange(ConstBytes(out).first(sizes[i]), Bytes(in).first(sizes[i])); }));
    }
  }
  if (bench.me != 0) return;
  fmt::print("{:<28} {:>9} {:>9}  us\n{:<28} {:>9.3f} {:>9.3f}\n", "", "best 5%", "median", "bare flag exchange", flags.at(0.05),
             flags.at(0.5));
  for (std::size_t i = 0; i < std::size(sizes); ++i)
    fmt::print("{:<28} {:>9.3f} {:>9.3f}   {:.2f}x the flags\n", fmt::format("exchange of {} bytes", sizes[i]),
               exchanges[i].at(0.05), exchanges[i].at(0.5), exchanges[i].at(0.5) / flags.at(0.5));
}

void large_messages(Bench& bench, int rounds) {
  if (bench.me == 0) fmt::print("\n{:<28} {:>9} {:>9}  GB/s\n", "", "one way", "both ways (each)");
  for (std::size_t size = std::size_t{64} << 10; size <= std::size_t{64} << 20; size *= 4) {
    std::vector<std::byte> out(size, std::byte{1}), in(size);
    const int times = static_cast<int>(std::max<std::size_t>(1, (std::size_t{16} << 20) / size));
    Sample one_way, both_ways;
    for (int round = 0; round < std::max(rounds / 10, 3); ++round) {
      bench.barrier();
      one_way.add(microseconds(times, [&] {
        bench.exchange(bench.me == 0 ? ConstBytes(out) : ConstBytes(), bench.me == 0 ? Bytes() : Bytes(in));
        // Back, so that the time is that of the arrival.
        std::byte token{};
        bench.exchange(bench.me == 0 ? ConstBytes() : ConstBytes(&token, 1), bench.me == 0 ? Bytes(&token, 1) : Bytes());
      }));
      bench.barrier();
      both_ways.add(microseconds(times, [&] { bench.exchange(out, in); }));
    }
    if (bench.me == 0)
      fmt::print("{:<28} {:>9.2f} {:>9.2f}\n", fmt::format("{} KiB", size >> 10),
                 static_cast<double>(size) / one_way.at(0.05) / 1e3, static_cast<double>(size) / both_ways.at(0.05) / 1e3);
  }
}

void pin_to(int index) {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  int seen = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || seen++ != index) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

void run_rank(Stage& stage, int me, const TransportRow& row, int rounds) {
  pin_to(me);
  TransportOptions options;
  options.rank = me;
  options.local_ranks = 2;
  const auto transport = row.make(options);
  const auto address = transport->listen().value_or_throw();
  std::ranges::copy(address, stage.addresses[static_cast<std::size_t>(me)].begin());
  stage.address_sizes[static_cast<std::size_t>(me)] = address.size();
  const auto peer = static_cast<std::size_t>(1 - me);
  while (stage.address_sizes[peer] == 0) sched_yield();
  const auto begin = stage.addresses[peer].begin();
  const auto end = begin + static_cast<std::ptrdiff_t>(stage.address_sizes[peer].load());
  const auto endpoint =
      transport->connect({.me = me, .peer = 1 - me, .stream = 0, .peer_address = {begin, end}}).value_or_throw();
  Bench bench{.stage = stage, .me = me, .endpoint = *endpoint};
  std::vector<std::byte> warm(1 << 20), up(1 << 20);
  for (int i = 0; i < 20; ++i) bench.exchange(warm, up);
  small_messages(bench, rounds);
  large_messages(bench, rounds);
  bench.barrier();
}

int main_of_bench(const std::string& transport, int rounds) {
  const TransportRow* row = find_transport(transport);
  if (row == nullptr || rounds < 1) {
    fmt::print(stderr, "usage: transport_bench [shm|tcp] [rounds]\n");
    return 2;
  }
  void* memory = mmap(nullptr, sizeof(Stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  Stage& stage = *new (memory) Stage;
  const pid_t child = fork();
  if (child == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);  // not to wait for a rank that was interrupted
  run_rank(stage, child == 0 ? 1 : 0, *row, rounds);
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return 0;
}

}  // namespace
}  // namespace tutti

int main(int argc, char** argv) { return tutti::main_of_bench(argc > 1 ? argv[1] : "shm", argc > 2 ? std::atoi(argv[2]) : 100); }
