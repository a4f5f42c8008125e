// What a transport costs between two pinned processes. Without --pingpong and --stream: an exchange of 8 bytes and more beside
// the bare exchange of two flags that one over shared memory is built on, measured in turns in one run; and the rate of large
// messages, one way and both ways. With them only a figure each, for others to compare (bench/verbs).
#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "core/clock.h"
#include "rank_processes.h"
#include "transports/registry.h"

namespace tutti {
namespace {

struct Options {
  std::string transport = "shm", interface, devices;
  int rounds = 100;
  int pingpongs = 0, stream = 0;  // messages of that kind to time; both 0: the tables
  std::size_t bytes = 0;          // of them; 0: as usual
};

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

// Half a round trip, in microseconds: the median.
double time_pingpong(Bench& bench, int times, std::size_t bytes) {
  std::vector<std::byte> out(bytes), in(bytes);
  const auto one_way = [&](bool away) { bench.exchange(away ? ConstBytes(out) : ConstBytes(), away ? Bytes() : Bytes(in)); };
  const auto there_and_back = [&] {
    one_way(bench.me == 0);
    one_way(bench.me != 0);
  };
  microseconds(times / 10, there_and_back);
  bench.barrier();
  Sample halves;
  for (int i = 0; i < times; ++i) halves.add(microseconds(1, there_and_back) / 2);
  return halves.at(0.5);
}

// Messages one behind the other, several under way, in MB (10^6) a second; until the last one has arrived. The memory is
// registered, and used again and again.
double time_stream(Bench& bench, int times, std::size_t bytes) {
  constexpr int kUnderWay = 16;
  std::vector<std::byte> memory(bytes, std::byte{1}), token(1);
  bench.endpoint.register_memory(memory, MemoryKind::host).value_or_throw();
  const bool sends = bench.me == 0;
  const auto pass = [&](int messages) {
    int posted = 0, finished = 0;
    while (finished < messages) {
      if (posted < messages && posted - finished < kUnderWay) {
        const Signature signature{.count = bytes, .sequence = ++bench.sequence};
        auto done = sends ? bench.endpoint.post_send(signature, ConstBytes(memory))
                          : bench.endpoint.post_recv(signature, {.data = memory.data(), .size = bytes});
        finished += std::move(done).value_or_throw() ? 1 : 0;
        ++posted;
        continue;
      }
      const auto progress = bench.endpoint.poll().value_or_throw();
      finished += static_cast<int>(progress.sends + progress.recvs);
    }
    bench.exchange(sends ? ConstBytes() : ConstBytes(token), sends ? Bytes(token) : Bytes());
  };
  pass(kUnderWay);
  bench.barrier();
  return static_cast<double>(bytes) * times / microseconds(1, [&] { pass(times); });
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

void measure(Bench& bench, const Options& options) {
  std::vector<std::byte> warm(1 << 20), up(1 << 20);
  for (int i = 0; i < 20; ++i) bench.exchange(warm, up);
  if (options.pingpongs > 0) {
    const std::size_t bytes = options.bytes > 0 ? options.bytes : 8;
    const double us = time_pingpong(bench, options.pingpongs, bytes);
    if (bench.me == 0) fmt::print("pingpong {} bytes {:.3f} us\n", bytes, us);
  }
  if (options.stream > 0) {
    const std::size_t bytes = options.bytes > 0 ? options.bytes : 1 << 20;
    const double rate = time_stream(bench, options.stream, bytes);
    if (bench.me == 0) fmt::print("stream {} bytes {:.2f} MB/s\n", bytes, rate);
  }
  if (options.pingpongs > 0 || options.stream > 0) return;
  small_messages(bench, options.rounds);
  large_messages(bench, options.rounds);
}

void run_rank(Stage& stage, int me, const Options& options) {
  pin_to(me);
  TransportOptions asked;
  asked.rank = me;
  asked.local_ranks = 2;
  asked.interface = options.interface;
  asked.ib.devices = options.devices;
  const auto transport = find_transport(options.transport)->make(asked);
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
  measure(bench, options);
  bench.barrier();
  if (me == 0) std::fflush(stdout);
}

}  // namespace
}  // namespace tutti

int main(int argc, char** argv) {
  tutti::Options options;
  CLI::App app{"What a transport costs between two pinned processes"};
  const auto known = [](const std::string& name) {
    return tutti::find_transport(name) != nullptr ? std::string() : "there is no transport " + name;
  };
  app.add_option("transport", options.transport)->check(known)->capture_default_str();
  app.add_option("rounds", options.rounds)->check(CLI::Range(1, 1000000))->capture_default_str();
  app.add_option("--pingpong", options.pingpongs, "Time so many messages back and forth, one at a time")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--stream", options.stream, "Time so many messages one way, several under way")->check(CLI::NonNegativeNumber);
  app.add_option("--bytes", options.bytes, "Of such a message (8; 1 MiB)");
  app.add_option("--interface", options.interface, "As in TUTTI_INTERFACE");
  app.add_option("--devices", options.devices, "As in TUTTI_IB_DEVICES");
  CLI11_PARSE(app, argc, argv);
  void* memory = mmap(nullptr, sizeof(tutti::Stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  auto* stage = new (memory) tutti::Stage;
  return tutti::bench::run_ranks(2, "transport_bench", [&](int me) { tutti::run_rank(*stage, me, options); }) ? 0 : 1;
}
