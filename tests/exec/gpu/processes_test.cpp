// Ranks as processes that map each other's device memory.
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "gpu/kernel_executor.h"
#include "gpu/one_pass.h"
#include "gpu/shown_memory.h"
#include "tests/exec/gpu/job.h"

namespace tutti::gpu {
namespace {

// Sockets that keep letters apart, one for each pair of ranks.
class Sockets {
 public:
  explicit Sockets(Rank ranks) : ends_(static_cast<std::size_t>(ranks), std::vector<int>(static_cast<std::size_t>(ranks), -1)) {
    for (std::size_t a = 0; a < ends_.size(); ++a)
      for (std::size_t b = a + 1; b < ends_.size(); ++b) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0) throw std::runtime_error("socketpair");
        ends_[a][b] = pair[0];
        ends_[b][a] = pair[1];
      }
  }
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;
  ~Sockets() {
    for (std::size_t r = 0; r < ends_.size(); ++r) close_all(r);
  }
  void keep_only(Rank me) {
    for (std::size_t r = 0; r < ends_.size(); ++r)
      if (r != static_cast<std::size_t>(me)) close_all(r);
  }
  [[nodiscard]] int end(Rank me, Rank peer) const { return ends_[static_cast<std::size_t>(me)][static_cast<std::size_t>(peer)]; }

 private:
  void close_all(std::size_t r) {
    for (int& end : ends_[r])
      if (end >= 0) close(std::exchange(end, -1));
  }
  std::vector<std::vector<int>> ends_;
};

class SocketCourier final : public Courier {
 public:
  SocketCourier(const Sockets& sockets, Rank me) : sockets_(sockets), me_(me) {}
  Status tell(Rank peer, ConstBytes letter) override {
    if (send(sockets_.end(me_, peer), letter.data(), letter.size(), MSG_NOSIGNAL) < 0)
      return Error(Code::peer_lost, "rank " + std::to_string(peer) + " is gone", peer);
    return {};
  }
  Result<std::vector<std::byte>> hear(Rank peer) override {
    std::vector<std::byte> letter(4096);
    const ssize_t size = recv(sockets_.end(me_, peer), letter.data(), letter.size(), 0);
    if (size <= 0) return Error(Code::peer_lost, "rank " + std::to_string(peer) + " is gone", peer);
    letter.resize(static_cast<std::size_t>(size));
    return letter;
  }
  Result<bool> arrived(Rank peer) override {
    std::byte first{};
    return recv(sockets_.end(me_, peer), &first, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  }

 private:
  const Sockets& sockets_;
  Rank me_;
};

void expect(bool what, const char* text) {
  if (!what) throw std::runtime_error(text);
}

// The body in a process for each rank; it is given a courier, and says by throwing what is wrong. How each one ended.
using Body = std::function<void(Rank, Courier&)>;
std::vector<int> on_processes(Rank ranks, const Body& body) {
  Sockets sockets(ranks);
  std::vector<pid_t> children;
  for (Rank r = 0; r < ranks; ++r) {
    const pid_t child = fork();
    if (child == 0) {
      sockets.keep_only(r);
      int code = 0;
      try {
        SocketCourier courier(sockets, r);
        body(r, courier);
      } catch (const std::exception& e) {
        std::fprintf(stderr, "rank %d: %s\n", r, e.what());
        code = 1;
      }
      _exit(code);
    }
    children.push_back(child);
  }
  sockets.keep_only(kNoRank);
  std::vector<int> ends;
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    ends.push_back(status);
  }
  return ends;
}

template <class T>
T value(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().to_string());
  return std::move(*result);
}

// What a process opens on its device.
struct Opened {
  Opened(int device, Rank me, Rank ranks, Courier& courier)
      : context(context_of_device(device)),
        entered(d(), context),
        executor(value(StreamExecutor::make(setup(context, me, ranks, courier)))) {}
  ContextHandle context;
  Entered entered;
  std::unique_ptr<StreamExecutor> executor;
};
// On a device of its own.
struct OpenedForKernels : Opened {
  OpenedForKernels(Rank me, Rank ranks, Courier& courier)
      : Opened(one_of(me, ranks), me, ranks, courier), kernels(value(KernelExecutor::make(executor->station()))) {}
  std::unique_ptr<KernelExecutor> kernels;

 private:
  static int one_of(Rank me, Rank ranks) {
    setenv("STANDIN_DEVICES", std::to_string(ranks).c_str(), 1);
    done(d().init(0));
    return me;
  }
};

// A call on memory of its own, checked; enqueue(buffers, stream).
void check_call(const Case& c, Rank me, std::uint64_t count,
                const std::function<Status(const DeviceBuffers&, StreamHandle)>& enqueue) {
  const Values values(c, count);
  const StreamHandle stream = new_stream();
  const Values::Place place = values.place(me);
  const TestMemory memory(place.size);
  put(memory.at() + place.input, values.input(me), stream);
  const DeviceBuffers buffers{memory.at() + place.input, memory.at() + place.output};
  for (int times = 0; times < 3; ++times) ok(enqueue(buffers, stream));
  const auto expected = values.expected(me);
  expect(take(buffers.output, expected.size(), stream) == expected, "wrong values");
  done(d().destroy_stream(stream));
}
void run(StreamExecutor& executor, const Case& c, Rank me, std::uint64_t count, std::uint64_t most_bytes) {
  CollectiveCall call = c.call(count);
  call.most_bytes = most_bytes;
  const auto prepared = value(executor.prepare(call, c.schedule(me)));
  check_call(c, me, count, [&](const DeviceBuffers& buffers, StreamHandle stream) {
    return executor.enqueue(*prepared, {&buffers, 1}, {}, stream);
  });
}
void run(KernelExecutor& executor, const Case& c, Rank me, std::uint64_t count, device::Protocol protocol, unsigned channels) {
  const auto prepared = value(executor.prepare(c.call(count), c.schedule(me), protocol, channels));
  check_call(c, me, count,
             [&](const DeviceBuffers& buffers, StreamHandle stream) { return executor.enqueue(*prepared, buffers, {}, stream); });
}

TEST(Processes, MapEachOthersMemory) {
  constexpr Rank kRanks = 3;
  const auto ends = on_processes(kRanks, [](Rank me, Courier& courier) {
    const Opened opened(0, me, kRanks, courier);
    for (const auto* row : {"direct", "ring", "two_shot", "recursive_doubling", "double_binary_tree"})
      for (const std::uint64_t count : {1, 777, 40'000, 300'000})
        run(*opened.executor, all_reduce(kRanks, row), me, count, std::uint64_t{128} << 10);
  });
  EXPECT_EQ(ends, std::vector<int>(kRanks, 0));
}

TEST(Processes, RunKernelsThatWriteIntoEachOthersMemory) {
  constexpr Rank kRanks = 3;
  const auto ends = on_processes(kRanks, [](Rank me, Courier& courier) {
    const OpenedForKernels opened(me, kRanks, courier);
    for (const auto protocol : {device::Protocol::simple, device::Protocol::ll, device::Protocol::ll128})
      for (const auto* row : {"direct", "ring", "two_shot"})
        for (const std::uint64_t count : {1, 777, 40'000}) {
          run(*opened.kernels, all_reduce(kRanks, row), me, count, protocol, 4);
          run(*opened.executor, all_reduce(kRanks, row), me, count, std::uint64_t{128} << 10);
        }
  });
  EXPECT_EQ(ends, std::vector<int>(kRanks, 0));
}

// Memory that is shown when it is first used, used again, and given back and taken again. What cannot be shown is said to be so.
TEST(Processes, OneOfThemDoesCallsForAll) {
  constexpr Rank kRanks = 3;
  const auto ends = on_processes(kRanks, [](Rank me, Courier& courier) {
    const Opened opened(0, me, kRanks, courier);
    std::vector<Rank> others{1, 2};
    ShownMemory shown(d(), courier, kOnePassRank);
    SeenMemory seen(d(), opened.context, courier, me == kOnePassRank ? others : std::vector<Rank>{});
    const auto there = [&](Address memory) { return me == kOnePassRank ? memory : value(shown.seen_at(memory)); };
    for (int turn = 0; turn < 3; ++turn)
      for (const std::uint64_t count : {1, 777, 300'000}) {
        const Case c = all_reduce(kRanks);
        const auto prepared = value(opened.executor->prepare_one_pass(c.call(count)));
        bool answering = me == kOnePassRank;
        std::thread answers([&] {
          while (std::atomic_ref(answering).load()) ok(seen.answer());
        });
        check_call(c, me, count, [&](const DeviceBuffers& buffers, StreamHandle stream) {
          return opened.executor->enqueue(*prepared, {&buffers, 1}, {}, stream, {there(buffers.input), there(buffers.output)});
        });
        std::atomic_ref(answering).store(false);
        answers.join();
        seen.give_back();
      }
    if (me == kOnePassRank) return;
    std::vector<int> ordinary(10);
    auto refused = shown.seen_at(address(ordinary.data()));
    expect(!refused && refused.error().code() == Code::unsupported, "ordinary memory was shown");
  });
  EXPECT_EQ(ends, std::vector<int>(kRanks, 0));
}

TEST(Processes, KernelsThatWaitForAKilledRankAreFreed) {
  constexpr Rank kRanks = 2;
  const auto ends = on_processes(kRanks, [](Rank me, Courier& courier) {
    const OpenedForKernels opened(me, kRanks, courier);
    KernelExecutor& kernels = *opened.kernels;
    const Case c = all_reduce(kRanks);
    run(kernels, c, me, 500, device::Protocol::ll, 1);
    if (me == 1) raise(SIGKILL);
    const auto prepared = value(kernels.prepare(c.call(500), c.schedule(me), device::Protocol::ll, 1));
    const TestMemory memory(4000);
    const StreamHandle stream = new_stream();
    ok(kernels.enqueue(*prepared, {memory.at(), memory.at() + 2000}, {}, stream));
    expect(d().query_stream(stream) == kNotReady, "did not wait");
    kernels.abort();
    done(d().synchronize(stream));
    expect(kernels.waited_for() == 1, "waited for somebody else");
  });
  EXPECT_EQ(ends[0], 0);
  EXPECT_TRUE(WIFSIGNALED(ends[1]));
}

// All of them are told, and why.
TEST(Processes, AllLearnThatMemoryCannotBeMapped) {
  constexpr Rank kRanks = 3;
  for (const char* function : {"cuIpcOpenMemHandle", "cuIpcGetMemHandle"})
    for (const Rank unlucky : {0, 2}) {
      const auto ends = on_processes(kRanks, [&](Rank me, Courier& courier) {
        if (me == unlucky) setenv("STANDIN_FAIL", function, 1);
        const ContextHandle context = context_of_device(0);
        const Entered entered(d(), context);
        auto made = StreamExecutor::make(setup(context, me, kRanks, courier));
        expect(!made, "made in spite of all");
        const std::string why = made.error().to_string();
        expect(made.error().code() == Code::unsupported, "another code");
        expect(why.find("rank " + std::to_string(unlucky) + ": ") != std::string::npos && why.find(function) != std::string::npos,
               why.c_str());
      });
      EXPECT_EQ(ends, std::vector<int>(kRanks, 0)) << function;
    }
}

TEST(Processes, RunningOutOfMemoryAtFirstUseIsAnErrorThatSaysSo) {
  const auto ends = on_processes(2, [](Rank me, Courier& courier) {
    if (me == 0) setenv("STANDIN_MEMORY", "8000000", 1);
    const Opened opened(0, me, 2, courier);
    const Case c = all_reduce(2);
    auto prepared = opened.executor->prepare(c.call(10'000'000), c.schedule(me));
    if (me == 1) return;  // is given room, or hears that rank 0 has gone
    expect(!prepared && prepared.error().code() == Code::resource, "no error");
    expect(prepared.error().to_string().find("bytes of device memory") != std::string::npos,
           prepared.error().to_string().c_str());
  });
  EXPECT_EQ(ends, std::vector<int>(2, 0));
}

// One is killed while the others' streams wait for it: aborting frees them, and their devices serve on.
TEST(Processes, StreamsThatWaitForAKilledRankAreFreed) {
  constexpr Rank kRanks = 3;
  for (const auto* row : {"direct", "ring", "two_shot"}) {
    const auto ends = on_processes(kRanks, [&](Rank me, Courier& courier) {
      Opened opened(0, me, kRanks, courier);
      const Case c = all_reduce(kRanks, row);
      run(*opened.executor, c, me, 5000, 4096);
      // Garbage of those who abort early must not meet what others still compute.
      for (const bool tell : {true, false})
        for (Rank r = 0; r < kRanks; ++r) {
          const std::byte done{1};
          if (r == me) continue;
          if (tell)
            ok(courier.tell(r, {&done, 1}));
          else
            expect(static_cast<bool>(courier.hear(r)), "a rank has gone");
        }
      if (me == 1) raise(SIGKILL);
      const TestMemory memory(40'000);
      const StreamHandle stream = new_stream();
      CollectiveCall call = c.call(5000);
      call.most_bytes = 4096;
      const auto prepared = value(opened.executor->prepare(call, c.schedule(me)));
      const DeviceBuffers buffers{memory.at(), memory.at() + 20'000};
      for (int times = 0; times < 2; ++times) ok(opened.executor->enqueue(*prepared, {&buffers, 1}, {}, stream));
      expect(d().query_stream(stream) == kNotReady, "did not wait");
      ok(opened.executor->abort());
      done(d().synchronize(stream));
      opened.executor.reset();
      put(memory.at(), std::vector<std::byte>(100, std::byte{7}), stream);
      expect(take(memory.at(), 100, stream) == std::vector<std::byte>(100, std::byte{7}), "the device is of no use any more");
    });
    EXPECT_EQ(ends[0], 0);
    EXPECT_TRUE(WIFSIGNALED(ends[1]));
    EXPECT_EQ(ends[2], 0);
  }
}

}  // namespace
}  // namespace tutti::gpu
