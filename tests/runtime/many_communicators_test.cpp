// Split, duplicate, several communicators at once; what a communicator tells about itself; and that nothing stays behind.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/log.h"
#include "tests/runtime/communicators.h"

namespace tutti {
namespace {

int all_sum(Communicator& comm, int mine) {
  int sum = mine;
  ok(comm.all_reduce(std::span(&sum, 1)));
  return sum;
}

TEST(Split, ByColorAndKeyInReverseOrder) {
  run_ranks(5, [](Communicator& comm) {
    auto part = comm.split(comm.rank() % 2, -comm.rank()).value_or_throw();
    const bool odd = comm.rank() % 2 == 1;
    EXPECT_EQ(part.size(), odd ? 2 : 3);
    EXPECT_EQ(part.rank(), ((odd ? 3 : 4) - comm.rank()) / 2);
    EXPECT_EQ(all_sum(part, comm.rank()), odd ? 4 : 6);
    std::vector<int> order(static_cast<std::size_t>(part.size()));
    const int me = comm.rank();
    ok(part.all_gather(std::span(&me, 1), std::span(order)));
    EXPECT_EQ(order, odd ? (std::vector<int>{3, 1}) : (std::vector<int>{4, 2, 0}));
    works(comm);
  });
}

TEST(Split, EqualKeysKeepTheOrderOfRanksAndAColorOfOneIsARankAlone) {
  run_ranks(4, [](Communicator& comm) {
    auto part = comm.split(comm.rank() == 2 ? 7 : 1000000, 0).value_or_throw();
    EXPECT_EQ(part.size(), comm.rank() == 2 ? 1 : 3);
    EXPECT_EQ(part.rank(), comm.rank() == 2 ? 0 : comm.rank() == 3 ? 2 : comm.rank());
    works(part);
    EXPECT_EQ(part.transports() == "self", comm.rank() == 2);
  });
}

TEST(Split, ANegativeColorGetsAnEmptyCommunicator) {
  run_ranks(3, [](Communicator& comm) {
    auto part = comm.split(comm.rank() == 1 ? -1 : 0).value_or_throw();
    works(comm);
    if (comm.rank() != 1) return works(part);
    EXPECT_EQ(part.size(), 0);
    EXPECT_EQ(part.rank(), kNoRank);
    EXPECT_EQ(part.memory().total(), 0U);
    EXPECT_EQ(part.transports(), "");
    EXPECT_EQ(part.last_algorithm(), "");
    fails(part.barrier(), Code::invalid_argument, {"empty", "negative color"});
    fails(part.start({}), Code::invalid_argument, {"empty"});
    fails(part.split(0), Code::invalid_argument, {"empty"});
    Group group;
    fails(group.add(part, {}), Code::invalid_argument, {"empty"});
    fails(part.explain({}), Code::invalid_argument, {"empty"});
    part.abort("nobody hears this");
  });
}

TEST(Split, OfOneRank) {
  run_ranks(1, [](Communicator& comm) {
    EXPECT_EQ(comm.split(-1).value_or_throw().size(), 0);
    auto part = comm.split(3).value_or_throw();
    EXPECT_EQ(part.size(), 1);
    works(part);
  });
}

TEST(Split, OfASplitOfADuplicate) {
  run_ranks(5, [](Communicator& comm) {
    auto copy = comm.duplicate().value_or_throw();
    EXPECT_EQ(copy.rank(), comm.rank());
    auto half = copy.split(comm.rank() < 3 ? 0 : 1).value_or_throw();
    auto inner = half.split(half.rank() == 0 ? -1 : 0).value_or_throw();
    EXPECT_EQ(inner.size(), half.rank() == 0 ? 0 : half.size() - 1);
    works(comm);
    works(copy);
    works(half);
    if (inner.size() > 0) works(inner);
    // A part outlives what it was split from.
    { const Communicator gone = std::move(copy); }
    works(half);
  });
}

TEST(Split, LeavesTheLogOfTheProcessAsItIs) {
  testing::internal::CaptureStderr();
  run_ranks(2, [](Communicator& comm) {
    if (comm.rank() == 0) configure_log(LogLevel::warn, "", 7);
    works(comm);
    auto copy = comm.duplicate().value_or_throw();
    auto alone = copy.split(comm.rank()).value_or_throw();
    auto again = alone.duplicate().value_or_throw();
    works(again);
  });
  log(LogLevel::warn, "who says this?");
  configure_log(LogLevel::error, "", 0);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("rank 7] warning: who says this?"));
}

// Each rank uses both its communicators at the same time; whichever comes first on one rank may come second on another.
TEST(Several, CommunicatorsAreUsedByDifferentThreadsAtOnce) {
  run_ranks(4, [](Communicator& comm) {
    auto other = comm.duplicate().value_or_throw();
    auto pair = comm.split(comm.rank() / 2).value_or_throw();
    const auto use = [](Communicator& c) {
      return [&c] {
        for (int i = 0; i < 40; ++i) {
          std::vector<int> data(static_cast<std::size_t>(i * i * 10), 1);
          ok(c.all_reduce(std::span(data)));
          EXPECT_EQ(data, std::vector<int>(data.size(), c.size()));
        }
      };
    };
    std::thread a(use(other)), b(use(pair));
    use(comm)();
    a.join();
    b.join();
  });
}

TEST(Several, OneThatFailsLeavesTheOthersAlone) {
  run_ranks(3, [](Communicator& comm) {
    auto other = comm.duplicate().value_or_throw();
    works(other);
    works(comm);
    if (comm.rank() == 0) other.abort("enough of it");
    int sum = 1;
    fails(other.all_reduce(std::span(&sum, 1)), Code::aborted, {"enough of it"});
    works(comm);
  });
}

TEST(Several, MovedCommunicatorsGoOnWorking) {
  run_ranks(2, [](Communicator& comm) {
    works(comm);
    Communicator moved = std::move(comm);
    works(moved);
    EXPECT_EQ(comm.size(), 0);  // NOLINT(bugprone-use-after-move): that is what is tested
    fails(comm.barrier(), Code::invalid_argument, {"moved from"});
    comm = std::move(moved);
    works(comm);
  });
}

TEST(About, ExplainNamesTheWinnerThatIsThenUsed) {
  run_ranks(4, [](Communicator& comm) {
    for (int c = 0; c < static_cast<int>(Collective::send_recv); ++c) {
      std::vector<int> in(400, 1), out(400);
      const Call call{.collective = static_cast<Collective>(c),
                      .input = in.data(),
                      .output = out.data(),
                      .count = 100,
                      .type = DataType::i32};
      const std::string text = comm.explain(call).value_or_throw();
      EXPECT_EQ(comm.explain({.collective = call.collective, .count = 100, .type = DataType::i32}).value_or_throw(), text)
          << "without buffers";
      EXPECT_THAT(comm.explain(call, true).value_or_throw(), testing::StartsWith("{"));
      EXPECT_THAT(text, testing::HasSubstr(std::string(name(call.collective))));
      ok(comm.run(call));
      EXPECT_NE(comm.last_algorithm(), "");
      EXPECT_THAT(text, testing::HasSubstr(comm.last_algorithm()));
    }
    fails(comm.explain({.collective = Collective::broadcast, .root = 9}), Code::invalid_argument, {"root 9"});
    fails(comm.explain({.algorithm = "no_such"}), Code::invalid_argument, {"no_such"});
    fails(comm.explain({.collective = Collective::send_recv, .destination = 0}), Code::invalid_argument, {"send_recv"});
  });
}

TEST(About, AForcedAlgorithmIsUsed) {
  run_ranks(3, Options{.algorithm = "all_reduce:reduce_broadcast,broadcast:chain"}, [](Communicator& comm) {
    works(comm);
    EXPECT_EQ(comm.last_algorithm(), "reduce_broadcast");
    int x = 1;
    ok(comm.broadcast(std::span(&x, 1), 0));
    EXPECT_EQ(comm.last_algorithm(), "chain");
    ok(comm.run({.collective = Collective::broadcast,
                 .input = &x,
                 .output = &x,
                 .count = 1,
                 .type = DataType::i32,
                 .algorithm = "knomial"}));
    EXPECT_EQ(comm.last_algorithm(), "knomial");
  });
}

TEST(About, MemoryIsAccountedForAndOneRankNeedsNone) {
  run_ranks(1, [](Communicator& comm) {
    works(comm);
    std::vector<int> in(100000, 1), out(100000);
    for (int c = 0; c < kCollectives; ++c)
      ok(comm.run({.collective = static_cast<Collective>(c),
                   .input = in.data(),
                   .output = out.data(),
                   .count = in.size(),
                   .type = DataType::i32,
                   .destination = 0,
                   .source = 0,
                   .receive_count = in.size()}));
    EXPECT_EQ(comm.memory().total(), 0U);
    EXPECT_EQ(comm.transports(), "self");
  });
  run_ranks(3, [](Communicator& comm) {
    const MemoryUse before = comm.memory();
    EXPECT_EQ(before.scratch_bytes, 0U);
    std::vector<int> in(100000, 1), out(100000);
    ok(comm.run({.collective = Collective::all_reduce,
                 .input = in.data(),
                 .output = out.data(),
                 .count = in.size(),
                 .type = DataType::i32,
                 .algorithm = "reduce_broadcast"}));
    const MemoryUse after = comm.memory();
    EXPECT_GT(after.plan_bytes, 0U);
    EXPECT_GT(after.transport_bytes, 0U);
    EXPECT_EQ(after.total(), after.scratch_bytes + after.transport_bytes + after.plan_bytes);
    ok(comm.run({.collective = Collective::all_reduce,
                 .input = in.data(),
                 .output = out.data(),
                 .count = in.size(),
                 .type = DataType::i32,
                 .algorithm = "reduce_broadcast"}));
    EXPECT_EQ(comm.memory().total(), after.total()) << "a repeated call took more memory";
  });
}

// More shapes than the cache of plans holds.
TEST(About, PlansAreKeptForTheLastShapesOnly) {
  run_ranks(2, [](Communicator& comm) {
    std::vector<int> data(700);
    const auto use = [&](std::size_t count) {
      std::ranges::fill(data, 1);
      ok(comm.all_reduce(std::span(data).first(count)));
      EXPECT_EQ(std::ranges::count(data, 2), static_cast<std::ptrdiff_t>(count));
    };
    for (std::size_t n = 1; n <= 300; ++n) use(n);
    const auto full = comm.memory().plan_bytes;
    for (std::size_t n = 301; n <= 600; ++n) use(n);
    EXPECT_LE(comm.memory().plan_bytes, full + full / 10);
    use(1);
  });
}

// What is left of its parent's communicators ends with it, unheard by the other ranks.
TEST(ForkedChild, LeavesItsParentsCommunicatorsAlone) {
  for (const bool asynchronous : {false, true})
    run_ranks(2, [=](Communicator& comm) {
      std::vector<int> data(10, 1);
      if (asynchronous)
        ok(comm.start({.collective = Collective::all_reduce,
                       .input = data.data(),
                       .output = data.data(),
                       .count = data.size(),
                       .type = DataType::i32})
               .value_or_throw()
               .wait());
      works(comm);
      if (comm.rank() == 0) {
        const pid_t child = fork();
        if (child == 0) {
          { const Communicator copy = std::move(comm); }
          _exit(0);
        }
        int status = -1;
        EXPECT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
      }
      works(comm);
    });
}

std::size_t entries(const char* folder) {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++n;
  return n;
}

// Threads and sockets end a moment after their owner has let go of them; the test's own limit ends a wait in vain.
void comes_down_to(const char* folder, std::size_t before) {
  for (int i = 0; i < 3000 && entries(folder) > before; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_LE(entries(folder), before) << folder;
}

TEST(Leaks, NoFileDescriptorAndNoThreadStaysBehind) {
  const auto use = [](const std::string& transports) {
    run_ranks(4, Options{.transports = transports}, [](Communicator& comm) {
      works(comm);
      auto part = comm.split(comm.rank() % 2).value_or_throw();
      works(part);
      std::vector<int> data(50000, 1);
      const Call call{.collective = Collective::all_reduce,
                      .input = data.data(),
                      .output = data.data(),
                      .count = data.size(),
                      .type = DataType::i32};
      ok(comm.start(call).value_or_throw().wait());
    });
  };
  use("");  // whatever is made once for the whole process
  const auto fds = entries("/proc/self/fd"), threads = entries("/proc/self/task"), maps = entries("/proc/self/map_files");
  for (const auto* transports : {"shm", "tcp", "shm,tcp"}) use(transports);
  comes_down_to("/proc/self/fd", fds);
  comes_down_to("/proc/self/task", threads);
  EXPECT_LE(entries("/proc/self/map_files"), maps + 16) << "memory is still mapped";  // the heap may have grown
}

// The same after failures.
TEST(Leaks, NorAfterAFailure) {
  const auto fail = [] {
    run_ranks(3, [](Communicator& comm) {
      works(comm);
      std::vector<int> data(static_cast<std::size_t>(comm.rank()) + 1);
      EXPECT_FALSE(comm.all_reduce(std::span(data)));
    });
  };
  fail();
  const auto fds = entries("/proc/self/fd"), threads = entries("/proc/self/task");
  fail();
  comes_down_to("/proc/self/fd", fds);
  comes_down_to("/proc/self/task", threads);
}

}  // namespace
}  // namespace tutti
