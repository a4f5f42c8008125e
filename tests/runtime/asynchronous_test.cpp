// Calls that are started and waited for later.
#include <algorithm>
#include <atomic>
#include <optional>

#include "tests/runtime/communicators.h"

namespace tutti {
namespace {

Call sum_in_place(std::vector<int>& data) {
  return {.collective = Collective::all_reduce,
          .input = data.data(),
          .output = data.data(),
          .count = data.size(),
          .type = DataType::i32};
}

TEST(Asynchronous, SeveralCallsWaitedForInAnyOrder) {
  run_ranks(3, [](Communicator& comm) {
    std::vector<std::vector<int>> data;
    std::vector<Work> work;
    for (std::size_t i = 0; i < 12; ++i) data.emplace_back(i * 700, static_cast<int>(i));
    for (auto& d : data) work.push_back(comm.start(sum_in_place(d)).value_or_throw());
    for (const std::size_t i : {11, 0, 5, 3, 4, 10, 9, 1, 2, 6, 8, 7}) {
      ok(work[i].wait());
      EXPECT_TRUE(work[i].test());
      EXPECT_EQ(data[i], std::vector<int>(i * 700, 3 * static_cast<int>(i)));
      ok(work[i].wait());
    }
  });
}

TEST(Asynchronous, WaitForGivesUpAndTheCallGoesOn) {
  std::atomic<bool> given_up = false;
  run_ranks(2, [&](Communicator& comm) {
    std::vector<int> data(10, 1);
    if (comm.rank() == 1) {
      while (!given_up) std::this_thread::yield();
      return ok(comm.run(sum_in_place(data)));
    }
    Work work = comm.start(sum_in_place(data)).value_or_throw();
    fails(work.wait_for(0.02), Code::timeout, {"0.02 s", "goes on"});
    EXPECT_FALSE(work.test());
    given_up = true;
    ok(work.wait_for(60));
    EXPECT_TRUE(work.test());
    EXPECT_EQ(data, std::vector<int>(10, 2));
  });
}

// Rank 0 starts its calls, the other ranks make the same ones one after the other: the blocking one must come last on rank 0,
// too.
TEST(Asynchronous, ABlockingCallKeepsItsPlace) {
  run_ranks(3, [](Communicator& comm) {
    std::vector<int> first(50000, 1), second(3, 1), third(20, 1);
    if (comm.rank() == 0) {
      Work a = comm.start(sum_in_place(first)).value_or_throw();
      Work b = comm.start(sum_in_place(second)).value_or_throw();
      ok(comm.run(sum_in_place(third)));
      EXPECT_TRUE(a.test());
      EXPECT_TRUE(b.test());
    } else {
      ok(comm.run(sum_in_place(first)));
      ok(comm.run(sum_in_place(second)));
      ok(comm.run(sum_in_place(third)));
    }
    EXPECT_EQ(first, std::vector<int>(50000, 3));
    EXPECT_EQ(second, std::vector<int>(3, 3));
    EXPECT_EQ(third, std::vector<int>(20, 3));
  });
}

TEST(Asynchronous, ADroppedWorkIsDoneAllTheSame) {
  std::vector<std::vector<int>> data(2, std::vector<int>(2000, 1));
  run_ranks(2, [&](Communicator& comm) {
    auto& mine = data[static_cast<std::size_t>(comm.rank())];
    for (int i = 0; i < 3; ++i) (void)comm.start(sum_in_place(mine)).value_or_throw();
    // The communicator is left with calls under way: it finishes them first.
  });
  for (const auto& d : data) EXPECT_EQ(d, std::vector<int>(2000, 8));
}

TEST(Asynchronous, AWorkOutlivesItsCommunicator) {
  std::vector<std::vector<int>> data(2, std::vector<int>(2000, 1));
  std::vector<std::optional<Work>> work(2);
  run_ranks(2, [&](Communicator& comm) {
    const auto me = static_cast<std::size_t>(comm.rank());
    work[me] = comm.start(sum_in_place(data[me])).value_or_throw();
  });
  for (auto& w : work) {
    EXPECT_TRUE(w->test());
    ok(w->wait());
  }
}

TEST(Asynchronous, CountsMayGoBeforeTheCallIsDone) {
  run_ranks(3, [](Communicator& comm) {
    std::vector<int> mine(static_cast<std::size_t>(comm.rank()), comm.rank()), all(3);
    std::optional<Work> work;
    {
      std::vector<std::uint64_t> counts{0, 1, 2};
      std::string algorithm = "ring";
      work = comm.start({.collective = Collective::all_gather,
                         .input = mine.data(),
                         .output = all.data(),
                         .type = DataType::i32,
                         .output_counts = counts,
                         .algorithm = algorithm})
                 .value_or_throw();
      std::ranges::fill(counts, 1000);
      algorithm = "xxxx";
    }
    ok(work->wait());
    EXPECT_EQ(all, (std::vector<int>{1, 2, 2}));
    EXPECT_EQ(comm.last_algorithm(), "ring");
  });
}

TEST(Asynchronous, ManyWaitersOfOneCall) {
  run_ranks(2, [](Communicator& comm) {
    std::vector<int> data(100, 1);
    Work work = comm.start(sum_in_place(data)).value_or_throw();
    std::vector<std::thread> waiters;
    for (int i = 0; i < 4; ++i) waiters.emplace_back([copy = work]() mutable { ok(copy.wait()); });
    for (auto& w : waiters) w.join();
    EXPECT_EQ(data, std::vector<int>(100, 2));
  });
}

TEST(Asynchronous, WrongCallsAreRefusedAtOnceAndFailuresAreHandedOver) {
  run_ranks(2, [](Communicator& comm) {
    fails(comm.start({.collective = Collective::broadcast, .count = 1, .root = 7}), Code::invalid_argument, {"root 7"});
    works(comm);
    std::vector<int> data(comm.rank() == 0 ? 5 : 6, 1), more(5);
    Work work = comm.start(sum_in_place(data)).value_or_throw();
    Work next = comm.start(sum_in_place(more)).value_or_throw();
    fails(next.wait(), Code::mismatch, {"failed before", "count 5", "count 6"});
    fails(work.wait(), Code::mismatch, {"count 5", "count 6"});
  });
}

}  // namespace
}  // namespace tutti
