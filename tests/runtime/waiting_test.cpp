// What goes on while a call waits, how long it may wait, and communicators that take over what another one knows.
#include <atomic>
#include <thread>

#include "tests/runtime/communicators.h"

namespace tutti {
namespace {

// Rank 1 comes to the call only when rank 0 has been called back so often that it must have spun, yielded and slept in between.
constexpr int kEnough = 100;

void wait_for_calls(Communicator& comm, const std::atomic<int>& calls) {
  if (comm.rank() == 1)
    while (calls < kEnough) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ok(comm.barrier());
}

class WhileWaiting : public testing::TestWithParam<const char*> {};

TEST_P(WhileWaiting, TheThreadThatWaitsCallsAgainAndAgain) {
  std::atomic<int> calls{0};
  const auto thread_of_rank = [&](Rank rank) {
    Options options;
    options.transports = GetParam();
    const auto waiter = std::this_thread::get_id();
    if (rank == 0)
      options.while_waiting = [&calls, waiter] {
        EXPECT_EQ(std::this_thread::get_id(), waiter);
        ++calls;
      };
    return options;
  };
  run_ranks(2, thread_of_rank, [&](Communicator& comm) {
    wait_for_calls(comm, calls);
    EXPECT_GE(calls, kEnough);
    auto part = comm.split(0).value_or_throw();  // has it, too
    ok(comm.barrier());
    if (comm.rank() == 0) calls = 0;
    ok(comm.barrier());
    wait_for_calls(part, calls);
  });
}

INSTANTIATE_TEST_SUITE_P(Transports, WhileWaiting, testing::Values("shm", "tcp"),
                         [](const auto& parameter) { return std::string(parameter.param); });

TEST(CallTimeout, HoldsForCalls) {
  Options options;
  options.call_timeout_s = 0.05;
  std::atomic<bool> given_up{false};
  run_ranks(2, options, [&](Communicator& comm) {
    if (comm.rank() == 0) {
      fails(comm.barrier(), Code::timeout, {"rank 1", "0.05 s"});
      given_up = true;
    }
    while (!given_up) std::this_thread::yield();
  });
}

TEST(CallTimeout, OfACallIsItsOwn) {
  std::atomic<bool> given_up{false};
  run_ranks(2, Options{.timeout_s = 1e6}, [&](Communicator& comm) {
    ok(comm.run({.collective = Collective::barrier, .timeout_s = 60}));
    if (comm.rank() == 0) {
      fails(comm.run({.collective = Collective::barrier, .timeout_s = 0.05, .background = true}), Code::timeout,
            {"rank 1", "0.05 s"});
      given_up = true;
    }
    while (!given_up) std::this_thread::yield();
  });
}

// The processor's time that a thread has used.
double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// It would look for data as long as rank 1 takes, but sleeps.
TEST(Background, ACallSleepsAsSoonAsItHasToWait) {
  setenv("TUTTI_SPIN_US", "1000000", 1);
  run_ranks(2, Options{}, [](Communicator& comm) {
    ok(comm.barrier());
    if (comm.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(500));
    const double before = thread_seconds();
    ok(comm.run({.collective = Collective::barrier, .background = comm.rank() == 0}));
    EXPECT_LT(thread_seconds() - before, 0.25);
    float sum = 1;
    ok(comm.run({.collective = Collective::all_reduce,
                 .input = &sum,
                 .output = &sum,
                 .count = 1,
                 .type = DataType::f32,
                 .background = true}));
    EXPECT_EQ(sum, 2);
  });
  unsetenv("TUTTI_SPIN_US");
}

TEST(PartOf, AnotherCommunicatorOfTheSameRanksNeedsNotMeasureAgain) {
  auto whole = create_unique_id(120).value_or_throw();
  auto pair = create_unique_id(120).value_or_throw();
  each_rank_thread(3, [&](Rank rank) {
    auto comm = Communicator::create(whole, rank, 3).value_or_throw();
    works(comm);
    if (rank == 2) return;
    Options options;
    options.part_of = &comm;
    auto part = Communicator::create(pair, 1 - rank, 2, options).value_or_throw();
    EXPECT_EQ(part.rank(), 1 - rank);
    works(part);
  });
}

TEST(Calibrate, OffLeavesTheEstimates) {
  Options options;
  options.calibrate = false;
  run_ranks(2, options, [](Communicator& comm) { works(comm); });
}

}  // namespace
}  // namespace tutti
