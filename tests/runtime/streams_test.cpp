// Calls in the order of CUDA streams, on the driver of tests/cuda/standin, whose "device" memory the host can look into.
#include <dlfcn.h>
#include <unistd.h>

#include <barrier>
#include <bit>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <numeric>
#include <set>

#include "device/image.h"
#include "gpu/memory.h"
#include "tests/runtime/reference.h"

namespace tutti {
namespace {

using gpu::Address;

const gpu::Driver& d() {
  const gpu::Driver* driver = gpu::driver();
  if (driver == nullptr) throw std::runtime_error(gpu::why_no_driver().to_string());
  return *driver;
}
void done(int result, Where where = Where::current()) { ok(gpu::check(d(), result, "the driver"), where); }

constexpr int kDevices = 4;
thread_local int this_device = 0;  // of the rank that the thread is

// That the library has no use for.
template <class Function>
Function* driver_function(const char* name) {
  return reinterpret_cast<Function*>(dlsym(dlopen("libcuda.so.1", RTLD_NOW), name));
}

// The stand-in's device memory is the host's; a GPU's must be managed, for the test to look into it.
int allocate_visible(Address* memory, std::size_t bytes) {
  constexpr unsigned kAttachGlobal = 1;
  static const bool standin = std::getenv("STANDIN_KERNELS") != nullptr;
  if (standin) return d().allocate(memory, bytes);
  static const auto managed = driver_function<int(Address*, std::size_t, unsigned)>("cuMemAllocManaged");
  return managed(memory, bytes, kAttachGlobal);
}

// Used again and never freed: a driver that frees memory waits for all streams of the device, those of other ranks among them.
class DeviceMemory {
 public:
  static void* allocate(std::size_t bytes) {
    DeviceMemory& all = of_this_process();
    const std::lock_guard lock(all.mutex_);
    const std::size_t size = std::bit_ceil(std::max<std::size_t>(bytes, 256));
    auto& unused = all.unused_[{this_device, size}];
    if (unused.empty()) unused.push_back(all.cut(size));
    void* memory = unused.back();
    unused.pop_back();
    all.used_[memory] = {this_device, size};
    return memory;
  }
  static bool deallocate(void* memory) {
    DeviceMemory& all = of_this_process();
    const std::lock_guard lock(all.mutex_);
    const auto used = all.used_.extract(memory);
    if (!used.empty()) all.unused_[used.mapped()].push_back(memory);
    return !used.empty();
  }

 private:
  static DeviceMemory& of_this_process() {
    static DeviceMemory all;
    return all;
  }
  // Of a large piece: whoever takes memory may wait for streams, too.
  void* cut(std::size_t size) {
    constexpr std::size_t kPiece = std::size_t{512} << 20;
    auto& [piece, used] = pieces_[this_device];
    if (piece == 0 || used + size > kPiece) {
      done(allocate_visible(&piece, std::max(size, kPiece)));
      used = 0;
    }
    return reinterpret_cast<void*>(piece + std::exchange(used, used + size));
  }
  std::mutex mutex_;
  std::map<int, std::pair<Address, std::size_t>> pieces_;  // by device, and how much of it is taken
  using Kind = std::pair<int, std::size_t>;                // device and size
  std::map<Kind, std::vector<void*>> unused_;
  std::map<void*, Kind> used_;
};
constexpr MixedMemory::Other kDevice{DeviceMemory::allocate, DeviceMemory::deallocate};

gpu::ContextHandle primary_context() {
  gpu::ContextHandle context = nullptr;
  done(d().retain_context(&context, this_device));
  return context;
}

// All ranks on one device, which they share; or each on its own, where kernels do their calls.
class Streams : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) setenv("STANDIN_DEVICES", std::to_string(kDevices).c_str(), 1), setenv("TUTTI_CUDA", "kernel", 1);
    done(d().init(0));
    int devices = 0;
    done(d().device_count(&devices));
    if (GetParam() && devices < kDevices) GTEST_SKIP() << "there are " << devices << " devices";
  }
  void TearDown() override {
    unsetenv("STANDIN_DEVICES");
    unsetenv("TUTTI_CUDA");
    done(d().init(0));
  }
  // Has the driver read its variables again.
  static void set(const char* variable, const char* value) {
    value != nullptr ? setenv(variable, value, 1) : unsetenv(variable);
    done(d().init(0));
  }
  static void run_ranks(Rank ranks, const std::function<void(Communicator&)>& body) {
    const bool own = GetParam();
    tutti::run_ranks(ranks, [&](Communicator& comm) {
      this_device = own ? comm.rank() % kDevices : 0;
      body(comm);
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Streams, testing::Bool(),
                         [](const auto& one) { return one.param ? std::string("Own") : std::string("Shared"); });

// This thread's vectors lie on the device meanwhile.
class OnDevice {
 public:
  explicit OnDevice(bool whether = true) : entered_(d(), primary_context()) { MixedMemory::other = whether ? &kDevice : nullptr; }
  ~OnDevice() { MixedMemory::other = nullptr; }

 private:
  gpu::Entered entered_;
};

template <class T>
using Vector = std::vector<T, MixedAllocator<T>>;

class Stream {
 public:
  Stream() {
    const gpu::Entered entered(d(), primary_context());
    done(d().make_stream(&handle_, gpu::kNonBlocking));
  }
  ~Stream() { done(d().destroy_stream(handle_)); }
  operator CudaStream() const { return handle_; }  // NOLINT(google-explicit-constructor)
  void wait() const { done(d().synchronize(handle_)); }

 private:
  gpu::StreamHandle handle_ = nullptr;
};

// A stream that stands still until it is opened.
class Gate {
 public:
  explicit Gate(CudaStream stream) {
    done(d().call_host(
        stream, [](void* gate) { static_cast<Gate*>(gate)->pass(); }, this));
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  void pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

template <class Problem>
void enqueue_case(Communicator& comm, const Case& c, CudaStream stream) {
  const testing::ScopedTrace trace(__FILE__, __LINE__, c.to_string());
  Trial<Problem> trial(c, comm.rank(), comm.size());
  ok(comm.enqueue(trial.call(), stream));
  done(d().synchronize(stream));
  ok(comm.failure());
  trial.check();
}

template <class Problem>
void enqueue_all(Communicator& comm, CudaStream stream, std::size_t count) {
  for (int c = 0; c < static_cast<int>(Collective::send_recv); ++c)
    for (const bool in_place : {false, true})
      if (reduces(static_cast<Collective>(c)) || !Problem::op().user.element_bytes)
        enqueue_case<Problem>(comm, {static_cast<Collective>(c), {}, count, in_place, count % 2 == 0 ? 0 : comm.size() - 1},
                              stream);
}

TEST_P(Streams, AreFilledByTheDevicesThemselvesWhereThereIsCodeForThem) {
  if (device::image().empty()) GTEST_SKIP() << "built without nvcc";
  run_ranks(3, [](Communicator& comm) {
    const OnDevice on_device;
    const Stream stream;
    for (const std::string name : {"ring", "direct", "recursive_doubling"}) {
      Trial<Sum> trial({Collective::all_reduce, name, 1000}, comm.rank(), 3);
      ok(comm.enqueue(trial.call(), stream));
      stream.wait();
      trial.check();
      EXPECT_EQ(comm.last_algorithm(), name);
    }
    Trial<Stretches> by_host({Collective::all_reduce, {}, 1000}, comm.rank(), 3);  // there are no kernels for a user's function
    ok(comm.enqueue(by_host.call(), stream));
    stream.wait();
    by_host.check();
  });
}

// What a communicator says of calls that it gets ready.
std::string log_of(Rank ranks, const char* how, const std::function<int(Rank)>& device_of) {
  const std::string file = testing::TempDir() + "tutti_streams_" + std::to_string(getpid()) + ".log";
  setenv("TUTTI_LOG", "debug", 1);
  setenv("TUTTI_LOG_FILE", file.c_str(), 1);
  setenv("TUTTI_CUDA", how, 1);
  run_ranks(ranks, [&](Communicator& comm) {
    this_device = device_of(comm.rank());
    const OnDevice on_device;
    const Stream stream;
    for (const std::size_t count : {std::size_t{10}, std::size_t{3'000'000}})
      enqueue_case<Sum>(comm, {Collective::all_reduce, {}, count}, stream);
  });
  for (const char* variable : {"TUTTI_LOG", "TUTTI_LOG_FILE", "TUTTI_CUDA"}) unsetenv(variable);
  std::ifstream in(file);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  std::remove(file.c_str());
  return text;
}

TEST_P(Streams, AreGivenKernelsOnlyWhereNoTwoRanksShareADevice) {
  if (device::image().empty()) GTEST_SKIP() << "built without nvcc";
  const auto says = [](const std::string& log, const char* what) { return log.find(what) != std::string::npos; };
  const char *kernel = "a kernel, ", *operations = "operations of a stream";
  const bool own = GetParam();
  const std::string wanted = log_of(3, "kernel", [&](Rank r) { return own ? r : 0; });
  EXPECT_EQ(says(wanted, kernel), own) << wanted;
  EXPECT_EQ(says(wanted, operations), !own) << wanted;
  const std::string two_share = log_of(3, "kernel", [&](Rank r) { return own ? r / 2 : 0; });
  EXPECT_FALSE(says(two_share, kernel)) << two_share;
  const std::string refused = log_of(3, "streams", [&](Rank r) { return own ? r : 0; });
  EXPECT_FALSE(says(refused, kernel)) << refused;
  const std::string automatic = log_of(3, "auto", [&](Rank r) { return own ? r : 0; });
  EXPECT_EQ(says(automatic, kernel), own) << automatic;
}

TEST_P(Streams, AllCollectivesOnDeviceMemory) {
  for (const Rank p : {1, 2, 3})
    run_ranks(p, [](Communicator& comm) {
      const OnDevice on_device;
      const Stream stream;
      for (const std::size_t count : {0, 1, 13, 5000}) {
        enqueue_all<Sum>(comm, stream, count);
        enqueue_all<Stretches>(comm, stream, count);
      }
    });
}

// Memory of all kinds meets in one call, and what is larger than a piece comes in several.
TEST_P(Streams, LargeCallsInPiecesAndMemoryOfAnyKind) {
  run_ranks(2, [](Communicator& comm) {
    const OnDevice on_device(comm.rank() == 1);
    const Stream stream;
    const std::size_t count = (std::size_t{5} << 20) / sizeof(Sum::Value) * 4 + 3;  // 20 MiB and a little
    for (const Collective c : {Collective::all_reduce, Collective::all_gather, Collective::reduce_scatter, Collective::broadcast,
                               Collective::all_to_all, Collective::gather})
      for (const bool in_place : {false, true}) enqueue_case<Sum>(comm, {c, {}, count, in_place, 1}, stream);
  });
}

TEST_P(Streams, ACallComesAfterWhatTheStreamWasGivenBeforeAndReturnsAtOnce) {
  run_ranks(2, [](Communicator& comm) {
    const OnDevice on_device;
    const Stream stream;
    Vector<std::uint32_t> data(1000, 0), copy(1000, 0);
    ok(comm.meet_devices());  // loading code would wait for the stream
    Gate gate(stream);
    done(d().set_words(gpu::address(data.data()), 5, data.size(), stream));
    ok(comm.enqueue({.collective = Collective::all_reduce,
                     .input = data.data(),
                     .output = data.data(),
                     .count = data.size(),
                     .type = DataType::u32},
                    stream));
    done(d().copy(gpu::address(copy.data()), gpu::address(data.data()), data.size() * 4, stream));
    EXPECT_TRUE(comm.busy());
    EXPECT_EQ(data[0], 0U) << "the stream has gone on";
    gate.open();
    stream.wait();
    EXPECT_EQ(copy, Vector<std::uint32_t>(1000, 10));
    EXPECT_FALSE(comm.busy());
  });
}

Call sum_of(Vector<std::uint32_t>& data) {
  return {.collective = Collective::all_reduce,
          .input = data.data(),
          .output = data.data(),
          .count = data.size(),
          .type = DataType::u32};
}

TEST_P(Streams, CallsOfOneCommunicatorKeepTheirOrderOnAllStreams) {
  run_ranks(3, [](Communicator& comm) {
    const OnDevice on_device;
    const Stream first, second;
    Vector<std::uint32_t> a(10, 1), b(3000, 2);
    ok(comm.meet_devices());
    for (int round = 0; round < 5; ++round) {
      // Each rank's streams are held up differently.
      Gate gate(comm.rank() == 1 ? first : second);
      ok(comm.enqueue(sum_of(a), first));
      ok(comm.enqueue(sum_of(b), second));
      ok(comm.enqueue(sum_of(a), first));
      gate.open();
      first.wait();
      second.wait();
    }
    EXPECT_EQ(a, Vector<std::uint32_t>(10, 59049));
    EXPECT_EQ(b, Vector<std::uint32_t>(3000, 2 * 243));
    works(comm);  // and with calls on ordinary memory
  });
}

// Also where one stream waits for another, which nothing but the communicator tells it.
TEST_P(Streams, ACallTakesWhatTheOneBeforeItLeftOnAnotherStream) {
  run_ranks(3, [](Communicator& comm) {
    const OnDevice on_device;
    const Stream first, second;
    Vector<std::uint32_t> a(3000, 1), b(3000, 0), c(3000, 0);
    Call onward = sum_of(c);
    onward.input = b.data();
    Call start = sum_of(b);
    start.input = a.data();
    ok(comm.meet_devices());
    Gate gate(first);
    ok(comm.enqueue(start, first));
    ok(comm.enqueue(onward, second));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // enough for a call that does not wait
    gate.open();
    second.wait();
    EXPECT_EQ(c, Vector<std::uint32_t>(3000, 9));
  });
}

// Nothing is remembered of an address: the device's, pinned, and the device's again.
TEST_P(Streams, MemoryMayBeFreedAndItsAddressUsedAgain) {
  run_ranks(2, [](Communicator& comm) {
    const OnDevice on_device;
    const Stream stream;
    constexpr std::size_t kCount = 3000;
    const auto call = [&](std::uint32_t* data) {
      std::fill_n(data, kCount, 4U);
      ok(comm.enqueue(
          {.collective = Collective::all_reduce, .input = data, .output = data, .count = kCount, .type = DataType::u32}, stream));
      stream.wait();
      EXPECT_THAT(std::span(data, kCount), testing::Each(8U));
    };
    std::set<Address> seen;
    bool again = false;
    for (int turn = 0; turn < 4; ++turn) {
      Address memory = 0;
      done(allocate_visible(&memory, kCount * sizeof(std::uint32_t)));
      again = !seen.insert(memory).second || again;
      call(reinterpret_cast<std::uint32_t*>(memory));
      ok(comm.barrier());  // freeing it waits for all that ranks do on the device
      done(d().free(memory));
      ok(comm.barrier());
      auto pinned = gpu::PinnedMemory::make(d(), kCount * sizeof(std::uint32_t));
      ok(pinned ? Status{} : Status(std::move(pinned.error())));
      again = !seen.insert(gpu::address(pinned->data())).second || again;
      call(reinterpret_cast<std::uint32_t*>(pinned->data()));
      ok(comm.barrier());
      { const auto freed = std::move(*pinned); }
      ok(comm.barrier());
    }
    EXPECT_TRUE(again) << "the driver gave no address twice";
  });
}

Call send_to(Rank peer, const Vector<std::uint32_t>& data) {
  return {.collective = Collective::send_recv,
          .input = data.data(),
          .count = data.size(),
          .type = DataType::u32,
          .destination = peer};
}
Call recv_from(Rank peer, Vector<std::uint32_t>& data) {
  return {.collective = Collective::send_recv,
          .output = data.data(),
          .type = DataType::u32,
          .source = peer,
          .receive_count = data.size()};
}

TEST_P(Streams, GroupsOfMessagesOfAnySizeAndCollectives) {
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{700001}})
    run_ranks(3, [count](Communicator& comm) {
      const OnDevice on_device;
      const Stream stream, other;
      const Rank p = comm.size(), me = comm.rank();
      Vector<std::uint32_t> sent(count, static_cast<std::uint32_t>(me) + 1), sum(77, 1);
      std::vector<Vector<std::uint32_t>> got(static_cast<std::size_t>(p), Vector<std::uint32_t>(count, 0));
      Group group;
      for (Rank r = 0; r < p; ++r) {
        if (r == me) continue;
        ok(group.add(comm, send_to(r, sent), stream));
        ok(group.add(comm, recv_from(r, got[static_cast<std::size_t>(r)]), other));
      }
      ok(group.add(comm, sum_of(sum), other));
      ok(group.run());
      stream.wait();
      other.wait();
      ok(comm.failure());
      EXPECT_EQ(sum[0], 3U);
      for (Rank r = 0; r < p; ++r) {
        const std::uint32_t expected = r == me ? 0 : static_cast<std::uint32_t>(r) + 1;
        EXPECT_EQ(got[static_cast<std::size_t>(r)], Vector<std::uint32_t>(count, expected));
      }
    });
}

TEST_P(Streams, OneThreadWithAllRanks) {
  const OnDevice on_device;
  auto comms = make_communicators(3);
  std::vector<Stream> streams(3);
  std::vector<Vector<std::uint32_t>> data(3, Vector<std::uint32_t>(100, 4));
  for (int round = 0; round < 3; ++round) {
    Group group;
    for (std::size_t r = 0; r < 3; ++r) ok(group.add(comms[r], sum_of(data[r]), streams[r]));
    ok(group.run());
  }
  for (std::size_t r = 0; r < 3; ++r) {
    streams[r].wait();
    EXPECT_EQ(data[r], Vector<std::uint32_t>(100, 108));
  }
}

TEST_P(Streams, CallsWithoutAStreamTakeDeviceMemoryToo) {
  run_ranks(2, [](Communicator& comm) {
    const OnDevice on_device;
    for (const bool in_place : {false, true})
      for (const std::size_t count : {0, 5, 100000}) run_case<Sum>(comm, {Collective::all_reduce, {}, count, in_place});
    Vector<std::uint32_t> data(100, 7), got(100, 0);
    Group group;
    ok(group.add(comm, send_to(1 - comm.rank(), data)));
    ok(group.add(comm, recv_from(1 - comm.rank(), got)));
    ok(group.run());
    EXPECT_EQ(got, data);
  });
}

TEST_P(Streams, AreNamedForAllCallsOfAGroupOrForNone) {
  run_ranks(1, [](Communicator& comm) {
    Vector<std::uint32_t> data(10, 7);
    const Stream stream;
    Group group;
    ok(group.add(comm, sum_of(data), stream));
    ok(group.add(comm, sum_of(data)));
    fails(group.run(), Code::invalid_argument, {"some calls of a group were added with a stream and some without"});
    works(comm);
  });
}

TEST_P(Streams, AStreamThatDoesNotExistIsAnErrorAndNothingHappens) {
  run_ranks(1, [](Communicator& comm) {
    Vector<std::uint32_t> data(10, 7);
    int nothing = 0;
    fails(comm.enqueue(sum_of(data), &nothing), Code::environment, {"cuStreamGetCtx of stream"});
    works(comm);
  });
}

// Memory of devices is mapped within a host; ranks that share no memory count as hosts.
TEST_P(Streams, BetweenHostsTheHostsDoTheCalls) {
  tutti::run_ranks(2, Options{.transports = "tcp"}, [](Communicator& comm) {
    const OnDevice on_device;
    const Stream stream;
    for (const Collective c : {Collective::all_reduce, Collective::all_gather, Collective::broadcast})
      enqueue_case<Sum>(comm, {c, {}, 5000}, stream);
    EXPECT_EQ(comm.memory().device_bytes, 0U);
  });
}

// The host's next piece is fetched from the device while the other rank is still waited for.
TEST_P(Streams, ThePiecesOfTheHostAreFetchedAhead) {
  constexpr std::size_t kPiece = std::size_t{2} << 20;
  std::atomic<bool> fetched{false};
  std::barrier together(2);
  tutti::run_ranks(2, Options{.transports = "tcp"}, [&](Communicator& comm) {
    const OnDevice on_device;
    const Stream stream;
    Vector<std::uint32_t> data(5 * kPiece / sizeof(std::uint32_t));
    std::iota(data.begin(), data.end(), 0U);
    ok(comm.meet_devices());
    Gate gate(stream);
    if (comm.rank() == 0) gate.open();
    const auto copied = driver_function<unsigned long long()>("standinCopiedBytes");
    const auto before = copied();
    ok(comm.enqueue(sum_of(data), stream));
    if (comm.rank() == 0) {
      const auto begun = std::chrono::steady_clock::now();
      while (copied() < before + 2 * kPiece && std::chrono::steady_clock::now() - begun < std::chrono::seconds(20))
        std::this_thread::yield();
      fetched = copied() >= before + 2 * kPiece;
    }
    together.arrive_and_wait();
    EXPECT_TRUE(fetched);
    gate.open();
    stream.wait();
    for (std::uint32_t i = 0; i < data.size(); ++i) ASSERT_EQ(data[i], 2 * i);
  });
}

// A GPU has eight queues for the streams of a process: one that waits blocks those behind it.
TEST_P(Streams, EveryRankNeedsOneStreamOnly) {
  set("STANDIN_CONNECTIONS", "8");
  setenv("TUTTI_CUDA", "host", 1);
  run_ranks(8, [](Communicator& comm) {
    const OnDevice on_device;
    const Stream stream;
    Vector<std::uint32_t> data(std::size_t{2} << 20, 1);  // of several pieces
    ok(comm.meet_devices());
    ok(comm.enqueue(sum_of(data), stream));
    stream.wait();
    EXPECT_EQ(data, Vector<std::uint32_t>(data.size(), 8));
  });
  set("STANDIN_CONNECTIONS", nullptr);
}

// What has been put into the stream until then still uses the communicator's memory.
TEST_P(Streams, ACommunicatorMayGoAfterACallFailedHalfway) {
  for (const std::string what : {"cuLaunchKernel", "cuStreamWriteValue32", "cuLaunchHostFunc"})
    for (const char* how : {"auto", "host"}) {
      setenv("TUTTI_CUDA", how, 1);
      std::barrier together(2);
      run_ranks(2, [&](Communicator& comm) {
        const OnDevice on_device;
        const Stream stream;
        Vector<std::uint32_t> data(1000, 1);
        ok(comm.enqueue(sum_of(data), stream));
        stream.wait();
        Gate gate(stream);
        together.arrive_and_wait();  // what fails fails for all of the process
        std::thread opens([&gate] {
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          gate.open();
        });
        if (comm.rank() == 0) {
          set("STANDIN_FAIL", what.c_str());
          (void)comm.enqueue(sum_of(data), stream);
          set("STANDIN_FAIL", nullptr);
        }
        together.arrive_and_wait();
        if (comm.rank() == 1) (void)comm.enqueue(sum_of(data), stream);
        { const auto gone = std::move(comm); }
        opens.join();
        stream.wait();
      });
    }
}

// The factor lies on the device, and is written by the stream before the call.
TEST_P(Streams, FactorsAreReadWhenTheCallRuns) {
  for (const bool by_host : {false, true})
    run_ranks(2, [by_host](Communicator& comm) {
      const OnDevice on_device;
      const Stream stream;
      ok(comm.meet_devices());
      Vector<std::uint32_t> factor(1, 7), data(100, 2);
      // Counts for each rank are the host's affair.
      const std::vector<std::uint64_t> counts{50, 50};
      Call call = sum_of(data);
      call.op = {.kind = ReduceKind::premul_sum, .scalar_at = factor.data()};
      if (by_host) {
        call.collective = Collective::reduce_scatter;
        call.output = data.data() + 50 * comm.rank();
        call.count = 0;
        call.input_counts = counts;
      }
      Gate gate(stream);
      done(d().set_words(gpu::address(factor.data()), 3 + static_cast<unsigned>(comm.rank()), 1, stream));
      ok(comm.enqueue(call, stream));
      gate.open();
      stream.wait();
      ok(comm.failure());
      const auto mine = std::span(data).subspan(by_host ? static_cast<std::size_t>(50 * comm.rank()) : 0, 50);
      EXPECT_THAT(mine, testing::Each(14U)) << "2 * 3 + 2 * 4";
      EXPECT_EQ(comm.last_algorithm().empty(), false);
    });
}

// What a stream was given between begin and end, to be launched again and again.
class Graph {
 public:
  explicit Graph(CudaStream stream) : stream_(stream) {
    done(driver_function<int(void*, int)>("cuStreamBeginCapture_v2")(stream, kThreadLocal));
  }
  void end() {
    done(driver_function<int(void*, void**)>("cuStreamEndCapture")(stream_, &graph_));
    done(driver_function<int(void**, void*, unsigned long long)>("cuGraphInstantiateWithFlags")(&ready_, graph_, 0));
  }
  ~Graph() {
    done(driver_function<int(void*)>("cuGraphExecDestroy")(ready_));
    done(driver_function<int(void*)>("cuGraphDestroy")(graph_));
  }
  void launch() { done(driver_function<int(void*, void*)>("cuGraphLaunch")(ready_, stream_)); }

 private:
  static constexpr int kThreadLocal = 1;  // other ranks are threads of this process
  CudaStream stream_;
  void *graph_ = nullptr, *ready_ = nullptr;
};

TEST_P(Streams, CallsAreCapturedIntoGraphs) {
  run_ranks(2, [](Communicator& comm) {
    const OnDevice on_device;
    const Stream stream;
    Vector<std::uint32_t> data(10, 1), large(3000000, 1), sent(5, 1), got(5, 0);
    const auto all = [&] {
      ok(comm.enqueue(sum_of(data), stream));
      ok(comm.enqueue(sum_of(large), stream));
      Group group;
      ok(group.add(comm, send_to(1 - comm.rank(), sent), stream));
      ok(group.add(comm, recv_from(1 - comm.rank(), got), stream));
      ok(group.run());
    };
    Graph graph(stream);
    all();
    graph.end();
    EXPECT_EQ(data[0], 1U) << "captured, not run";
    for (int launch = 1; launch <= 3; ++launch) {
      sent.assign(5, static_cast<std::uint32_t>(launch));
      graph.launch();
      if (launch == 2) all();  // beside it
      stream.wait();
      EXPECT_EQ(got, sent);
    }
    EXPECT_EQ(data, Vector<std::uint32_t>(10, 16));
    EXPECT_EQ(large, Vector<std::uint32_t>(large.size(), 16));
    ok(comm.failure());
  });
}

// What waits for a rank that does not come goes on once the communicator is aborted.
TEST_P(Streams, AnAbortFreesTheStream) {
  run_ranks(2, [](Communicator& comm) {
    const OnDevice on_device;
    const Stream stream;
    Vector<std::uint32_t> data(10, 7);
    ok(comm.enqueue(sum_of(data), stream));
    stream.wait();
    if (comm.rank() == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      return comm.abort("enough");
    }
    ok(comm.enqueue(sum_of(data), stream));
    ok(comm.enqueue(sum_of(data), stream));
    stream.wait();
    fails(comm.failure(), Code::aborted, {"aborted by rank 1: enough"});
    fails(comm.enqueue(sum_of(data), stream), Code::aborted, {"enough"});
    fails(comm.run(sum_of(data)), Code::aborted, {"enough"});
  });
}

TEST_P(Streams, ACallThatIsNotDoneInTimeIsAnErrorThatNamesWhomAKernelWaitedFor) {
  if (device::image().empty()) GTEST_SKIP() << "built without nvcc";
  const bool own = GetParam();
  setenv("TUTTI_TIMEOUT", "1", 1);
  run_ranks(2, [own](Communicator& comm) {
    const OnDevice on_device;
    const Stream stream;
    Vector<std::uint32_t> data(10, 7);
    ok(comm.enqueue(sum_of(data), stream));
    stream.wait();
    Gate gate(stream);
    if (comm.rank() == 0) gate.open();
    ok(comm.enqueue(sum_of(data), stream));
    if (comm.rank() == 0) {
      stream.wait();
      fails(comm.failure(), Code::timeout, {"was not done within 1 s", own ? "waiting for rank 1" : "all_reduce"});
    }
    while (comm.failure()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    gate.open();
    stream.wait();
  });
  unsetenv("TUTTI_TIMEOUT");
}

TEST_P(Streams, RanksThatDisagreeFindOut) {
  run_ranks(2, [](Communicator& comm) {
    const OnDevice on_device;
    const Stream stream;
    Vector<std::uint32_t> data(comm.rank() == 0 ? 10 : 20, 7);
    ok(comm.enqueue(sum_of(data), stream));
    stream.wait();
    fails(comm.failure(), Code::mismatch, {"count 10", "count 20"});
  });
}

}  // namespace
}  // namespace tutti
