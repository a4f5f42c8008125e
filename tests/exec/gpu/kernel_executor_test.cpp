// Calls by the interpreter kernel, on the stand-in for the driver: ranks as threads, each on a device of its own.
#include "gpu/kernel_executor.h"

#include <barrier>
#include <chrono>

#include "tests/algorithms/rows.h"
#include "tests/exec/gpu/job.h"

namespace tutti::gpu {
namespace {

using device::Protocol;

constexpr int kDevices = 5;
constexpr Protocol kProtocols[] = {Protocol::simple, Protocol::ll, Protocol::ll128};

class Kernel {
 public:
  Kernel(const RankTools& rank, std::barrier<>& all_are_ready) : rank_(rank), all_are_ready_(all_are_ready) {
    auto made = KernelExecutor::make(rank.executor->station());
    if (!made) throw std::runtime_error(made.error().to_string());
    executor_ = std::move(*made);
  }
  [[nodiscard]] KernelExecutor& operator*() const { return *executor_; }
  [[nodiscard]] std::shared_ptr<const PreparedKernel> prepare(const CollectiveCall& call, const Schedule& mine, Protocol protocol,
                                                              unsigned channels) const {
    auto prepared = executor_->prepare(call, mine, protocol, channels);
    if (!prepared) throw std::runtime_error(prepared.error().to_string());
    return *prepared;
  }
  [[nodiscard]] std::shared_ptr<const PreparedKernel> prepare(const Job& job, Protocol protocol, unsigned channels) const {
    return prepare(job.call(), job.schedule(rank_), protocol, channels);
  }
  void enqueue(const Job& job, const PreparedKernel& prepared) const {
    ok(executor_->enqueue(prepared, job.buffers(rank_), {.value = job.factor()}, rank_.stream));
  }
  void run(const Job& job, Protocol protocol, unsigned channels) const {
    const auto prepared = prepare(job, protocol, channels);
    job.fill(rank_);
    done(d().synchronize(rank_.stream));
    all_are_ready_.arrive_and_wait();  // taking memory may wait for kernels of ranks that share the device
    enqueue(job, *prepared);
    check(job);
  }
  void check(const Job& job) const {
    if (!job.right(rank_)) throw std::runtime_error("wrong values: " + job.text());
  }

 private:
  RankTools rank_;
  std::barrier<>& all_are_ready_;
  std::unique_ptr<KernelExecutor> executor_;
};

void on_devices(Rank ranks, const std::function<void(const RankTools&, const Kernel&)>& body) {
  setenv("STANDIN_DEVICES", std::to_string(kDevices).c_str(), 1);
  ASSERT_EQ(cuInit(0), kSuccess);
  std::barrier all_are_ready(ranks);
  on_threads(
      ranks,
      [&](const RankTools& rank) {
        const Kernel kernel(rank, all_are_ready);
        body(rank, kernel);
        done(d().synchronize(rank.stream));
      },
      kDevices);
  unsetenv("STANDIN_DEVICES");
  ASSERT_EQ(cuInit(0), kSuccess);
}

TEST_P(Row, GivesTheRightValues) {
  for (const Rank p : {1, 2, 3, 4, 5}) {
    if (p > TUTTI_MOST_RANKS - 2) break;  // sanitized, three are enough of those that spin
    const auto jobs = jobs_of(*GetParam(), p);
    if (jobs.empty()) continue;
    on_devices(p, [&](const RankTools&, const Kernel& kernel) {
      unsigned turn = 0;
      for (const auto& job : jobs) kernel.run(*job, kProtocols[turn % 3], 1 + turn / 3 % 3), ++turn;
    });
  }
}
INSTANTIATE_TEST_SUITE_P(Algorithms, Row, testing::ValuesIn(rows()), row_name);

TEST(KernelExecutor, ReducesEveryTypeByEveryOperator) {
  constexpr Rank kRanks = 3;
  const auto jobs = jobs_of_all_types(kRanks, {101});
  on_devices(kRanks, [&](const RankTools&, const Kernel& kernel) {
    for (const Protocol protocol : kProtocols)
      for (const auto& job : jobs) kernel.run(*job, protocol, 2);
  });
}

TEST(KernelExecutor, LargeCallsInManyPiecesOnManyChannels) {
  std::vector<std::unique_ptr<Job>> jobs;
  for (const auto* row : {"ring", "direct", "two_shot"}) jobs.push_back(std::make_unique<Job>(all_reduce(3, row), 300'001));
  on_devices(3, [&](const RankTools&, const Kernel& kernel) {
    for (const Protocol protocol : kProtocols)
      for (const unsigned channels : {1U, 4U, 16U})
        for (const auto& job : jobs) kernel.run(*job, protocol, channels);
  });
}

// Kernels and operations of streams in turns on the same lanes' memory, and all of it in the order of one stream.
TEST(KernelExecutor, TakesTurnsWithStreamOperations) {
  constexpr Rank kRanks = 4;
  const Job first(all_reduce(kRanks, "ring"), 5000), second(all_reduce(kRanks, "direct"), 700);
  on_devices(kRanks, [&](const RankTools& rank, const Kernel& kernel) {
    for (int round = 0; round < 3; ++round) {
      kernel.run(first, Protocol::simple, 2);
      second.run(rank);
      kernel.run(second, Protocol::ll, 1);
      first.run(rank);
    }
  });
}

TEST(KernelExecutor, IsCapturedAndReplayedBetweenOtherCalls) {
  constexpr Rank kRanks = 3;
  const Job captured(all_reduce(kRanks, "ring"), 5000), other(all_reduce(kRanks, "direct"), 700);
  for (const Protocol protocol : kProtocols) {
    on_devices(kRanks, [&](const RankTools& rank, const Kernel& kernel) {
      const auto prepared = kernel.prepare(captured, protocol, 3);
      GraphHandle graph = nullptr;
      ReadyGraphHandle ready = nullptr;
      done(d().begin_capture(rank.stream, CaptureMode::thread_local_));
      kernel.enqueue(captured, *prepared);
      done(d().end_capture(rank.stream, &graph));
      done(d().instantiate(&ready, graph, 0));
      for (int replay = 0; replay < 4; ++replay) {
        captured.fill(rank);
        done(d().launch_graph(ready, rank.stream));
        kernel.check(captured);
        kernel.run(other, protocol, 2);
        kernel.run(captured, protocol, 3);
      }
      done(d().destroy_ready(ready));
      done(d().destroy_graph(graph));
    });
  }
}

TEST(KernelExecutor, AbortFreesAKernelThatWaitsForADeadRankAndNamesIt) {
  constexpr Rank kRanks = 3;
  for (const Protocol protocol : kProtocols)
    for (const auto* row : {"direct", "ring"}) {
      const Job job(all_reduce(kRanks, row), 2000);
      std::barrier all_have_tried(kRanks);
      on_devices(kRanks, [&](const RankTools& rank, const Kernel& kernel) {
        kernel.run(job, protocol, 2);
        const auto prepared = kernel.prepare(job, protocol, 2);
        if (rank.rank != 1) {
          for (int i = 0; i < 3; ++i) kernel.enqueue(job, *prepared);
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          EXPECT_EQ(d().query_stream(rank.stream), kNotReady);
          EXPECT_EQ((*kernel).waited_for(), kNoRank);
          std::thread([&] { (*kernel).abort(); }).join();
          done(d().synchronize(rank.stream));
          EXPECT_NE((*kernel).waited_for(), kNoRank);
          EXPECT_NE((*kernel).waited_for(), rank.rank);
          if (rank.rank == 2 && row == std::string_view("ring")) {
            EXPECT_EQ((*kernel).waited_for(), 1) << "its left neighbour";
          }
          auto refused = (*kernel).enqueue(*prepared, job.buffers(rank), {}, rank.stream);
          ASSERT_FALSE(refused);
          EXPECT_EQ(refused.error().code(), Code::aborted);
        }
        all_have_tried.arrive_and_wait();
      });
    }
}

// Whatever is alike in their calls but the signature: nobody takes what the other sends.
TEST(KernelExecutor, RanksThatDisagreeWaitUntilTheyAreFreed) {
  for (const Protocol protocol : kProtocols) {
    const Job job(all_reduce(2), 50);
    std::barrier both_have_waited(2);
    on_devices(2, [&](const RankTools& rank, const Kernel& kernel) {
      CollectiveCall call = job.call();
      call.signature = 7 + static_cast<std::uint32_t>(rank.rank);
      const auto prepared = kernel.prepare(call, job.schedule(rank), protocol, 1);
      kernel.enqueue(job, *prepared);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      EXPECT_EQ(d().query_stream(rank.stream), kNotReady);
      both_have_waited.arrive_and_wait();
      (*kernel).abort();
      done(d().synchronize(rank.stream));
      EXPECT_EQ((*kernel).waited_for(), 1 - rank.rank);
    });
  }
}

TEST(KernelExecutor, RefusesAUsersOperator) {
  on_devices(1, [&](const RankTools&, const Kernel& kernel) {
    const Case c = all_reduce(1);
    ReduceOp op{.kind = ReduceKind::user};
    op.user.apply = [](const void*, void*, std::size_t, DataType, void*) noexcept {};
    auto refused = (*kernel).prepare(c.call(10, DataType::i32, op), c.schedule(0), Protocol::ll, 1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::unsupported);
  });
}

// What any row needs of the device with 8 ranks; each rank finds the same.
TEST(KernelLayout, KeepsMailboxesAndScratchSmall) {
  constexpr Rank kRanks = 8;
  for (const Algorithm& a : algorithms()) {
    if (!applies(a, kRanks)) continue;
    const Case c = cases(a, kRanks, false).front();
    for (const Protocol protocol : kProtocols)
      for (const std::uint64_t count : {std::uint64_t{2}, std::uint64_t{50'000}, std::uint64_t{50'000'000}}) {
        const CollectiveCall call = c.call(count);
        auto layout = kernel_layout(call, protocol, 16);
        ASSERT_TRUE(layout) << layout.error().to_string();
        EXPECT_LE(layout->blocks, 16U);
        for (Rank r = 0; r < kRanks; ++r) {
          auto kernel = kernel_call(call, c.schedule(r), layout->cut, protocol);
          ASSERT_TRUE(kernel) << kernel.error().to_string();
          EXPECT_LE(kernel->half_bytes, layout->half_bytes);
          EXPECT_LE(layout->blocks * (2 * layout->half_bytes * kernel->lanes.size() + kernel->scratch_bytes), 16U << 20)
              << c.text();
        }
      }
  }
}

}  // namespace
}  // namespace tutti::gpu
