// Two ranks on two cores: tutti's all_reduce beside the floors it stands on, in the same run and in turn.
//
//   flag exchange    each rank writes its cache line and waits for the other's: no call can be faster than that
//   transport        the same bytes exchanged through the transport's endpoint, and added: what is on top of that is the price of
//                    a repeated call (checking it, finding its plan, running its steps)
//   mapped           tutti again, with buffers from tutti::allocate(), which the other rank reads in place
//   fused loop       both ranks' buffers mapped by both; each rank reads both inputs and writes its half of both outputs: one
//                    pass over memory, which no exchange between private buffers can beat
//
// Inputs are rewritten by their owner before every timed call, so data really moves between the cores. Results are checked.
// Times are the slower rank's; a round measures every contender once, and the median over the rounds is shown.
#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/clock.h"
#include "kernels/kernels.h"
#include "transports/registry.h"
#include "tutti/communicator.h"
#include "tutti/memory.h"

namespace {

using tutti::Clock;

struct alignas(64) Line {
  std::atomic<std::uint64_t> value{0};
};

constexpr std::size_t kMostElements = 16u << 20;
constexpr int kMostRounds = 200;

// What both processes see.
struct Shared {
  Line flags[2][2];  // [rank][parity of the exchange]
  Line barrier[2];
  tutti::UniqueId id;
  struct {
    std::array<std::byte, 512> bytes;
    std::size_t size;
  } addresses[2];
  double seconds[2];
};

class Rank {
 public:
  Rank(Shared& shared, float* buffers, int me) : shared_(shared), buffers_(buffers), me_(me) {}

  void meet() {  // a barrier that is no part of what is measured
    shared_.barrier[me_].value.store(++met_, std::memory_order_release);
    while (shared_.barrier[1 - me_].value.load(std::memory_order_acquire) < met_) sched_yield();
  }

  void exchange() {
    const std::uint64_t epoch = ++exchanged_;
    shared_.flags[me_][epoch % 2].value.store(epoch, std::memory_order_release);
    while (shared_.flags[1 - me_][epoch % 2].value.load(std::memory_order_acquire) != epoch) tutti::cpu_relax();
  }

  // This rank's half of both outputs, from both inputs.
  void fused(std::size_t n, bool streaming) {
    exchange();  // the inputs are written
    const std::size_t half = n / 2, begin = me_ == 0 ? 0 : half, count = me_ == 0 ? half : n - half;
    const tutti::kernels::Options options{.past_caches = streaming};
    constexpr std::size_t kTile = 8192;
    for (std::size_t at = 0; at < count; at += kTile) {
      const std::size_t m = std::min(kTile, count - at);
      const float *a = input(0) + begin + at, *b = input(1) + begin + at;
      tutti::kernels::reduce2({}, tutti::DataType::f32, a, b, output(0) + begin + at, m, options);
      tutti::kernels::reduce2({}, tutti::DataType::f32, a, b, output(1) + begin + at, m, options);
    }
    exchange();  // the outputs are written
  }

  [[nodiscard]] float* input(int rank) const { return buffers_ + static_cast<std::size_t>(rank) * kMostElements; }
  [[nodiscard]] float* output(int rank) const { return buffers_ + static_cast<std::size_t>(2 + rank) * kMostElements; }

  // Mean seconds of `calls` timed calls, the input rewritten before each; the slower rank's.
  template <class Call>
  double time(int calls, float* in, std::size_t n, Call&& call) {
    double sum = 0;
    for (int c = 0; c < calls; ++c) {
      std::fill_n(in, n, static_cast<float>(c % 7 + me_));
      exchange();
      const auto start = Clock::now();
      call();
      sum += tutti::seconds_since(start);
    }
    shared_.seconds[me_] = sum / calls;
    meet();
    const double slower = std::max(shared_.seconds[0], shared_.seconds[1]);
    meet();
    return slower;
  }

 private:
  Shared& shared_;
  float* buffers_;
  int me_;
  std::uint64_t met_ = 0, exchanged_ = 0;
};

double median(std::vector<double> v) {
  std::ranges::nth_element(v, v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2));
  return v[v.size() / 2];
}

void pin(int me) {
  cpu_set_t set;
  sched_getaffinity(0, sizeof set, &set);
  for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set) && seen++ == me) {
      CPU_ZERO(&set);
      CPU_SET(cpu, &set);
      break;
    }
  sched_setaffinity(0, sizeof set, &set);
}

// The same exchange without the library around it.
class Wire {
 public:
  Wire(Shared& shared, Rank& rank, int me) {
    tutti::TransportOptions options;
    options.rank = me;
    options.local_ranks = 2;
    transport_ = tutti::find_transport("shm")->make(options);
    const auto address = transport_->listen().value_or_throw();
    std::ranges::copy(address, shared.addresses[me].bytes.begin());
    shared.addresses[me].size = address.size();
    rank.meet();
    const auto& theirs = shared.addresses[1 - me];
    const auto* begin = theirs.bytes.data();
    endpoint_ = transport_->connect({.me = me, .peer = 1 - me, .stream = 0, .peer_address = {begin, begin + theirs.size}})
                    .value_or_throw();
  }
  void all_reduce(const std::vector<float>& in, std::vector<float>& out) {
    const tutti::Signature signature{.count = in.size(), .sequence = ++sequence_};
    const std::size_t bytes = in.size() * sizeof(float);
    arrived_.resize(in.size());
    unsigned left = 0;
    if (!endpoint_->post_send(signature, std::as_bytes(std::span(in))).value_or_throw()) ++left;
    const tutti::Sink sink{.data = reinterpret_cast<std::byte*>(arrived_.data()), .size = bytes};
    if (!endpoint_->post_recv(signature, sink).value_or_throw()) ++left;
    while (left > 0) {
      const auto progress = endpoint_->poll().value_or_throw();
      left -= progress.sends + progress.recvs;
    }
    for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i] + arrived_[i];
  }

 private:
  std::unique_ptr<tutti::Transport> transport_;
  std::unique_ptr<tutti::Endpoint> endpoint_;
  std::vector<float> arrived_;
  std::uint32_t sequence_ = 0;
};

struct Result {
  std::size_t bytes;
  double tutti_us, mapped_us, in_place_us, mapped_in_place_us, transport_us, floor_us;
  std::string floor, algorithm;
};

void check(const float* out, std::size_t n, int calls, const char* what) {
  const float expected = static_cast<float>((calls - 1) % 7 * 2 + 1);
  const auto wrong = static_cast<std::size_t>(std::count_if(out, out + n, [&](float x) { return x != expected; }));
  if (wrong > 0) throw std::runtime_error(fmt::format("{}: {} of {} values are wrong", what, wrong, n));
}

Result compare(Rank& rank, int me, tutti::Communicator& comm, Wire& wire, std::size_t bytes, int rounds) {
  const std::size_t n = bytes / sizeof(float);
  const bool small = bytes <= 4096;
  const int calls = small ? 2000 : bytes >= (8u << 20) ? 3 : 50;
  std::vector<float> in(n), out(n);
  std::vector<float, tutti::Allocator<float>> mapped_in(n), mapped_out(n);
  std::vector<double> ours, mapped, in_place, mapped_in_place, transport, floor;
  const auto reduce = [&] { comm.all_reduce<float>(in, out).value_or_throw(); };
  for (int r = -1; r < rounds; ++r) {  // round -1 warms up
    const double t = rank.time(calls, in.data(), n, reduce);
    check(out.data(), n, calls, "tutti");
    const double m =
        rank.time(calls, mapped_in.data(), n, [&] { comm.all_reduce<float>(mapped_in, mapped_out).value_or_throw(); });
    check(mapped_out.data(), n, calls, "tutti, mapped");
    const double p = rank.time(calls, in.data(), n, [&] { comm.all_reduce<float>(in).value_or_throw(); });
    check(in.data(), n, calls, "tutti, in place");
    const double q = rank.time(calls, mapped_in.data(), n, [&] { comm.all_reduce<float>(mapped_in).value_or_throw(); });
    check(mapped_in.data(), n, calls, "tutti, mapped, in place");
    const double w = rank.time(calls, in.data(), n, [&] { wire.all_reduce(in, out); });
    check(out.data(), n, calls, "transport");
    const double idle = rank.time(calls, in.data(), n, [] {});
    double f = 0;
    if (small) {
      f = rank.time(calls, in.data(), n, [&] { rank.exchange(); });
    } else {
      f = std::min(rank.time(calls, rank.input(me), n, [&] { rank.fused(n, false); }),
                   rank.time(calls, rank.input(me), n, [&] { rank.fused(n, true); }));
      check(rank.output(me), n, calls, "fused loop");
    }
    if (r < 0) continue;
    ours.push_back(t - idle);
    mapped.push_back(m - idle);
    in_place.push_back(p - idle);
    mapped_in_place.push_back(q - idle);
    transport.push_back(w - idle);
    floor.push_back(f - idle);
  }
  return {bytes,
          median(ours) * 1e6,
          median(mapped) * 1e6,
          median(in_place) * 1e6,
          median(mapped_in_place) * 1e6,
          median(transport) * 1e6,
          median(floor) * 1e6,
          small ? "flag exchange" : "fused loop",
          comm.last_algorithm()};
}

void run(Shared& shared, float* buffers, int me, int rounds, const std::string& json_path) {
  pin(me);
  Rank rank(shared, buffers, me);
  if (me == 0) shared.id = tutti::create_unique_id().value_or_throw();
  rank.meet();
  auto comm = tutti::Communicator::create(shared.id, me, 2).value_or_throw();
  Wire wire(shared, rank, me);
  if (me == 0)
    fmt::print("{:>32} {:>23}\n{:>10} {:>11} {:>11} {:>11} {:>11} {:>12} {:>11} {:>7} {:>7}  {:<14} {}\n", "out of place",
               "in place", "bytes", "tutti us", "mapped us", "tutti us", "mapped us", "transport us", "floor us", "ratio",
               "mapped", "floor", "algorithm");
  nlohmann::json rows = nlohmann::json::array();
  for (const std::size_t bytes :
       {8u, 64u, 1024u, 4096u, 8u << 10, 16u << 10, 32u << 10, 64u << 10, 256u << 10, 1u << 20, 4u << 20, 16u << 20, 64u << 20}) {
    const Result r = compare(rank, me, comm, wire, bytes, rounds);
    if (me != 0) continue;
    fmt::print("{:>10} {:>11.3f} {:>11.3f} {:>11.3f} {:>11.3f} {:>12.3f} {:>11.3f} {:>7.2f} {:>7.2f}  {:<14} {}\n", r.bytes,
               r.tutti_us, r.mapped_us, r.in_place_us, r.mapped_in_place_us, r.transport_us, r.floor_us, r.tutti_us / r.floor_us,
               r.mapped_us / r.floor_us, r.floor, r.algorithm);
    std::fflush(stdout);
    rows.push_back({{"bytes", r.bytes},
                    {"tutti_us", r.tutti_us},
                    {"mapped_us", r.mapped_us},
                    {"in_place_us", r.in_place_us},
                    {"mapped_in_place_us", r.mapped_in_place_us},
                    {"transport_us", r.transport_us},
                    {"floor_us", r.floor_us},
                    {"ratio", r.tutti_us / r.floor_us},
                    {"floor", r.floor},
                    {"algorithm", r.algorithm}});
  }
  if (me == 0 && !json_path.empty())
    std::ofstream(json_path) << nlohmann::json{{"floors", 1}, {"rounds", rounds}, {"rows", rows}}.dump(2) << "\n";
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Two ranks: all_reduce beside a bare flag exchange and a fused loop over mapped memory"};
  int rounds = 21;
  std::string json;
  app.add_option("--rounds", rounds, "Rounds; the median is shown")->check(CLI::Range(1, kMostRounds));
  app.add_option("--json", json, "Write the table to this file, too");
  CLI11_PARSE(app, argc, argv);

  const auto map = [](std::size_t bytes) {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  };
  auto* shared = new (map(sizeof(Shared))) Shared;
  auto* buffers = static_cast<float*>(map(4 * kMostElements * sizeof(float)));
  const auto body = [&](int me) {
    try {
      run(*shared, buffers, me, rounds, json);
      return 0;
    } catch (const std::exception& e) {
      fmt::print(stderr, "floors: rank {}: {}\n", me, e.what());
      return 1;
    }
  };
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // not to wait for a rank that was interrupted
    _exit(body(1));
  }
  const int mine = body(0);
  int theirs = 0;
  if (mine != 0) kill(child, SIGKILL);
  waitpid(child, &theirs, 0);
  return mine != 0 || theirs != 0 ? 1 : 0;
}
