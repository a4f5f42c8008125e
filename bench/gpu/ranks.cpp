// gpu_ranks LIBRARY: loads a library of NCCL's interface by its path, starts ranks that share one GPU, times collectives and
// checks their results. The same calls, whatever the library. Prints one line of JSON for each measurement, and why it could go
// no further.
#include <dlfcn.h>
#include <fmt/format.h>
#include <nccl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "gpu/memory.h"

namespace {

using tutti::Clock;
using tutti::seconds_since;
using tutti::gpu::Address;

constexpr int kMostRanks = 16;
constexpr std::size_t kPeriod = 4099;                            // elements of the data, which then repeats
constexpr std::size_t kCheckedWhole = std::size_t{64} << 20;     // bytes; of more, parts are looked at
constexpr std::size_t kPart = std::size_t{4} << 20, kParts = 8;  // these
constexpr double kTimed = 0.05;                                  // seconds of calls for a figure

struct Options {
  std::string library;
  int ranks = 2;
  std::size_t min_bytes = 8, max_bytes = std::size_t{1} << 30, factor = 8, most_in_graphs = std::size_t{64} << 10;
  bool own_hosts = false;  // each rank says that it is on a host of its own
  bool threads = false;    // ranks are threads of one process, which share a context
};

// What the ranks, which are processes, have in common.
struct Shared {
  ncclUniqueId id;
  pthread_barrier_t barrier;
  std::array<double, kMostRanks> seconds;
  std::array<std::size_t, kMostRanks> wrong;
};

[[noreturn]] void fail(int rank, const std::string& why) {
  fmt::print(stderr, "rank {}: {}\n", rank, why);
  std::fflush(stderr);
  _exit(1);
}

class Library {
 public:
  Library(const std::string& path, int rank) : rank_(rank), handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) fail(rank, dlerror());
    find(get_id, "ncclGetUniqueId");
    find(init, "ncclCommInitRank");
    find(destroy, "ncclCommDestroy");
    find(all_reduce, "ncclAllReduce");
    find(all_gather, "ncclAllGather");
    find(reduce_scatter, "ncclReduceScatter");
    find(error_string, "ncclGetErrorString");
    find(last_error, "ncclGetLastError");
    find(async_error, "ncclCommGetAsyncError");
  }
  void check(ncclResult_t result, const char* call) const {
    if (result != ncclSuccess) fail(rank_, fmt::format("{}: {}; {}", call, error_string(result), last_error(nullptr)));
  }

  decltype(&ncclGetUniqueId) get_id;
  decltype(&ncclCommInitRank) init;
  decltype(&ncclCommDestroy) destroy;
  decltype(&ncclAllReduce) all_reduce;
  decltype(&ncclAllGather) all_gather;
  decltype(&ncclReduceScatter) reduce_scatter;
  decltype(&ncclGetErrorString) error_string;
  decltype(&ncclGetLastError) last_error;
  decltype(&ncclCommGetAsyncError) async_error;

 private:
  template <class Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(handle_, name));
    if (function == nullptr) fail(rank_, fmt::format("there is no {} in the library", name));
  }
  int rank_;
  void* handle_;
};

enum class Kind { all_reduce, all_gather, reduce_scatter };
constexpr std::array<const char*, 3> kNames{"all_reduce", "all_gather", "reduce_scatter"};

struct Case {
  Kind kind;
  std::size_t count;  // elements of a block, or of the whole for all_reduce
  int rank, ranks;

  [[nodiscard]] std::size_t in() const { return kind == Kind::reduce_scatter ? count * p() : count; }
  [[nodiscard]] std::size_t out() const { return kind == Kind::all_gather ? count * p() : count; }
  [[nodiscard]] std::size_t bytes() const { return std::max(in(), out()) * sizeof(float); }
  [[nodiscard]] double bus_factor() const { return (kind == Kind::all_reduce ? 2.0 : 1.0) * (ranks - 1) / ranks; }
  // Bytes that must be read or written in the one memory, at least.
  [[nodiscard]] double traffic() const { return static_cast<double>((in() + out()) * p() * sizeof(float)); }
  // Element `i` of the input of a rank, and of this rank's output. Sums are exact.
  static float given(int of, std::size_t i) { return static_cast<float>((i % kPeriod) % 29 + static_cast<std::size_t>(of)); }
  [[nodiscard]] float expected(std::size_t i) const {
    if (kind == Kind::all_gather) return given(static_cast<int>(i / count), i % count);
    const std::size_t at = kind == Kind::reduce_scatter ? i + count * static_cast<std::size_t>(rank) : i;
    return static_cast<float>(p() * ((at % kPeriod) % 29) + p() * (p() - 1) / 2);
  }

 private:
  [[nodiscard]] std::size_t p() const { return static_cast<std::size_t>(ranks); }
};

class Rank {
 public:
  Rank(const Options& o, Shared& shared, int rank)
      : o_(o), shared_(shared), rank_(rank), d_(driver(rank)), lib_(o.library, rank) {
    tutti::gpu::ContextHandle context = nullptr;
    done(d_.retain_context(&context, 0), "cuDevicePrimaryCtxRetain");
    done(d_.push_context(context), "cuCtxPushCurrent");
    done(d_.make_stream(&stream_, tutti::gpu::kNonBlocking), "cuStreamCreate");
    done(d_.allocate(&in_, o.max_bytes), "the input");
    done(d_.allocate(&out_, o.max_bytes), "the output");
    if (rank == 0) lib_.check(lib_.get_id(&shared.id), "ncclGetUniqueId");
    meet();
    const std::size_t before = used();
    meet();
    lib_.check(lib_.init(&comm_, o.ranks, shared.id, rank), "ncclCommInitRank");
    before_ = before;
  }

  void run() {
    tell_device();
    for (const Kind kind : {Kind::all_reduce, Kind::all_gather, Kind::reduce_scatter})
      for (std::size_t bytes = o_.min_bytes; bytes <= o_.max_bytes; bytes *= o_.factor) {
        const std::size_t elements = bytes / sizeof(float);
        const auto p = static_cast<std::size_t>(o_.ranks);
        const Case c{kind, std::max<std::size_t>(1, kind == Kind::all_reduce ? elements : elements / p), rank_, o_.ranks};
        if (c.bytes() > o_.max_bytes) continue;
        measure(c, false);
        if (bytes <= o_.most_in_graphs) measure(c, true);
      }
    tell_memory();
    lib_.check(lib_.destroy(comm_), "ncclCommDestroy");
  }

 private:
  static const tutti::gpu::Driver& driver(int rank) {
    const auto* found = tutti::gpu::driver();
    if (found == nullptr) fail(rank, tutti::gpu::why_no_driver().to_string());
    return *found;
  }
  void done(int result, const char* what) const {
    if (auto s = tutti::gpu::check(d_, result, what); !s) fail(rank_, s.error().to_string());
  }
  void meet() const { (void)pthread_barrier_wait(&shared_.barrier); }
  void wait() const { done(d_.synchronize(stream_), "cuStreamSynchronize"); }

  // With what a copy inside of its memory reaches: reads and writes.
  void tell_device() {
    std::array<char, 128> name{};
    done(d_.device_name(name.data(), name.size() - 1, 0), "cuDeviceGetName");
    meet();
    if (rank_ == 0) {
      double best = 0;
      for (int i = 0; i < 4; ++i) {
        const auto start = Clock::now();
        done(d_.copy(out_, in_, o_.max_bytes, stream_), "cuMemcpyAsync");
        wait();
        best = std::max(best, 2 * static_cast<double>(o_.max_bytes) / seconds_since(start) / 1e9);
      }
      print({{"device", name.data()}, {"memory_gbps", best}});
    }
    meet();
  }

  // Of the device, by all ranks.
  [[nodiscard]] std::size_t used() const {
    std::size_t left = 0, all = 0;
    done(d_.memory_left(&left, &all), "cuMemGetInfo");
    return all - left;
  }
  // What a communicator has taken for all calls, with the code that it has loaded.
  void tell_memory() {
    meet();
    if (rank_ == 0) print({{"ranks", o_.ranks}, {"communicator_bytes", (used() - before_) / static_cast<std::size_t>(o_.ranks)}});
    meet();
  }

  static void print(const nlohmann::json& line) {
    fmt::print("{}\n", line.dump());
    std::fflush(stdout);
  }

  void call(const Case& c) {
    const auto* in = reinterpret_cast<const void*>(in_);  // NOLINT(performance-no-int-to-ptr)
    auto* out = reinterpret_cast<void*>(out_);            // NOLINT(performance-no-int-to-ptr)
    auto* stream = static_cast<cudaStream_t>(stream_);
    switch (c.kind) {
      case Kind::all_reduce:
        return lib_.check(lib_.all_reduce(in, out, c.count, ncclFloat32, ncclSum, comm_, stream), "ncclAllReduce");
      case Kind::all_gather:
        return lib_.check(lib_.all_gather(in, out, c.count, ncclFloat32, comm_, stream), "ncclAllGather");
      case Kind::reduce_scatter:
        return lib_.check(lib_.reduce_scatter(in, out, c.count, ncclFloat32, ncclSum, comm_, stream), "ncclReduceScatter");
    }
  }

  // One call, or the launch of its graph.
  class Again {
   public:
    Again(Rank& rank, const Case& c, bool graph) : rank_(rank), case_(c) {
      if (!graph) return;
      const auto& d = rank.d_;
      tutti::gpu::GraphHandle made = nullptr;
      rank.done(d.begin_capture(rank.stream_, tutti::gpu::CaptureMode::thread_local_), "cuStreamBeginCapture");
      rank.call(c);
      rank.done(d.end_capture(rank.stream_, &made), "cuStreamEndCapture");
      rank.done(d.instantiate(&ready_, made, 0), "cuGraphInstantiate");
      rank.done(d.destroy_graph(made), "cuGraphDestroy");
    }
    Again(const Again&) = delete;
    Again& operator=(const Again&) = delete;
    ~Again() {
      if (ready_ != nullptr) rank_.done(rank_.d_.destroy_ready(ready_), "cuGraphExecDestroy");
    }
    // The slowest rank's mean, in seconds.
    double time(int calls) {
      rank_.meet();
      const auto start = Clock::now();
      for (int i = 0; i < calls; ++i) one();
      rank_.wait();
      rank_.shared_.seconds[static_cast<std::size_t>(rank_.rank_)] = seconds_since(start) / calls;
      rank_.meet();
      const auto& all = rank_.shared_.seconds;
      return *std::max_element(all.begin(), all.begin() + rank_.o_.ranks);
    }

    void one() {
      if (ready_ == nullptr) return rank_.call(case_);
      rank_.done(rank_.d_.launch_graph(ready_, rank_.stream_), "cuGraphLaunch");
    }

   private:
    Rank& rank_;
    const Case& case_;
    tutti::gpu::ReadyGraphHandle ready_ = nullptr;
  };

  void measure(const Case& c, bool graph) {
    Again again(*this, c, graph);
    prepare(c);
    again.one();  // connects, and is what is checked
    wait();
    const std::size_t wrong = count_wrong(c);
    double seconds = again.time(1);
    if (seconds < kTimed * 10) seconds = again.time(1);
    if (seconds < kTimed) seconds = again.time(static_cast<int>(std::clamp(kTimed / seconds, 2.0, 1000.0)));
    ncclResult_t later = ncclSuccess;
    lib_.check(lib_.async_error(comm_, &later), "ncclCommGetAsyncError");
    lib_.check(later, kNames[static_cast<std::size_t>(c.kind)]);
    shared_.wrong[static_cast<std::size_t>(rank_)] = wrong;
    meet();
    if (rank_ == 0) {
      std::size_t all = 0;
      for (int r = 0; r < o_.ranks; ++r) all += shared_.wrong[static_cast<std::size_t>(r)];
      const double busbw = static_cast<double>(c.bytes()) * c.bus_factor() / seconds / 1e9;
      print({{"collective", kNames[static_cast<std::size_t>(c.kind)]},
             {"ranks", o_.ranks},
             {"bytes", c.bytes()},
             {"graph", graph},
             {"time_us", seconds * 1e6},
             {"busbw_gbps", busbw},
             {"memory_gbps", c.traffic() / seconds / 1e9},
             {"wrong", all}});
    }
    meet();
  }

  // A period of the data, doubled on the device until it fills the buffer.
  void prepare(const Case& c) {
    std::vector<float> period(std::min(kPeriod, c.in()));
    for (std::size_t i = 0; i < period.size(); ++i) period[i] = Case::given(rank_, i);
    std::size_t have = period.size() * sizeof(float);
    const std::size_t want = c.in() * sizeof(float);
    done(d_.copy(in_, tutti::gpu::address(period.data()), have, stream_), "cuMemcpyAsync");
    for (; have < want; have *= 2) done(d_.copy(in_ + have, in_, std::min(have, want - have), stream_), "cuMemcpyAsync");
    done(d_.set_words(out_, 0x5a5a5a5a, c.out(), stream_), "cuMemsetD32Async");
    wait();
  }

  std::size_t count_wrong(const Case& c) {
    const std::size_t bytes = c.out() * sizeof(float);
    if (bytes <= kCheckedWhole) return count_wrong(c, 0, c.out());
    std::size_t wrong = 0;
    for (std::size_t part = 0; part < kParts; ++part)
      wrong += count_wrong(c, (c.out() - kPart / sizeof(float)) / (kParts - 1) * part, kPart / sizeof(float));
    return wrong;
  }
  std::size_t count_wrong(const Case& c, std::size_t begin, std::size_t count) {
    std::vector<float> got(count);
    const std::size_t bytes = count * sizeof(float);
    done(d_.copy(tutti::gpu::address(got.data()), out_ + begin * sizeof(float), bytes, stream_), "cuMemcpyAsync");
    wait();
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < count; ++i) wrong += got[i] != c.expected(begin + i);
    return wrong;
  }

  const Options& o_;
  Shared& shared_;
  int rank_;
  const tutti::gpu::Driver& d_;
  Library lib_;
  tutti::gpu::StreamHandle stream_ = nullptr;
  Address in_ = 0, out_ = 0;
  std::size_t before_ = 0;  // the device's memory in use
  ncclComm_t comm_ = nullptr;
};

Shared& share(int ranks) {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail(0, "no shared memory");
  auto* shared = new (memory) Shared{};
  pthread_barrierattr_t attributes;
  (void)pthread_barrierattr_init(&attributes);
  (void)pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  (void)pthread_barrier_init(&shared->barrier, &attributes, static_cast<unsigned>(ranks));
  return *shared;
}

// Each rank looks for the driver itself: what knows a GPU must not fork.
pid_t start(const Options& o, Shared& shared, int rank) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  if (o.own_hosts) (void)setenv("NCCL_HOSTID", fmt::format("host{}", rank).c_str(), 1);
  Rank(o, shared, rank).run();
  std::fflush(stdout);
  _exit(0);
}

int run_threads(const Options& o, Shared& shared) {
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < o.ranks; ++rank) ranks.emplace_back([&, rank] { Rank(o, shared, rank).run(); });
  for (std::thread& rank : ranks) rank.join();
  return 0;
}

// Ends all when one fails, as the others would wait for it.
int wait_for(const std::vector<pid_t>& ranks) {
  int status = 0, worst = 0;
  while (wait(&status) > 0) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    if (worst == 0) usleep(200000);  // others may have a reason to tell, too
    worst = 1;
    for (const pid_t rank : ranks) (void)kill(rank, SIGKILL);
  }
  return worst;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Times collectives of a library with NCCL's interface between ranks that share one GPU");
  app.add_option("library", o.library, "libnccl.so.2")->required();
  app.add_option("--ranks", o.ranks)->check(CLI::Range(1, kMostRanks))->capture_default_str();
  app.add_option("--min-bytes", o.min_bytes)->check(CLI::Range(std::size_t{4}, std::size_t{1} << 40))->capture_default_str();
  app.add_option("--max-bytes", o.max_bytes)->check(CLI::Range(std::size_t{4}, std::size_t{1} << 40))->capture_default_str();
  app.add_option("--factor", o.factor)->check(CLI::Range(2, 1024))->capture_default_str();
  app.add_option("--most-in-graphs", o.most_in_graphs, "Up to this size, launches of graphs are timed, too")
      ->capture_default_str();
  app.add_flag("--own-hosts", o.own_hosts, "Each rank claims to be on a host of its own, so that NCCL talks over sockets");
  app.add_flag("--threads", o.threads, "Ranks are threads of one process, not processes");
  CLI11_PARSE(app, argc, argv);
  Shared& shared = share(o.ranks);
  if (o.threads) return run_threads(o, shared);
  std::vector<pid_t> ranks;
  for (int rank = 0; rank < o.ranks; ++rank) ranks.push_back(start(o, shared, rank));
  return wait_for(ranks);
}
