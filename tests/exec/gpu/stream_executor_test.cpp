// Calls as operations of streams, on the stand-in for the driver: ranks as threads that share devices.
#include <atomic>
#include <barrier>

#include "gpu/call_order.h"
#include "tests/algorithms/rows.h"
#include "tests/exec/gpu/job.h"

namespace tutti::gpu {
namespace {

TEST_P(Row, GivesTheRightValues) {
  for (const Rank p : {1, 2, 3, 4, 5}) {
    const auto jobs = jobs_of(*GetParam(), p);
    if (jobs.empty()) continue;
    on_threads(p, [&](const RankTools& rank) {
      for (const auto& job : jobs) job->run(rank);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Algorithms, Row, testing::ValuesIn(rows()), row_name);

TEST(StreamExecutor, ReducesEveryTypeByEveryOperator) {
  constexpr Rank kRanks = 3;
  const auto jobs = jobs_of_all_types(kRanks, {1, 1001});
  on_threads(kRanks, [&](const RankTools& rank) {
    for (const auto& job : jobs) job->run(rank);
  });
}

// Sums that are divided in the end, and products in scratch of a call whose blocks are cut.
TEST(StreamExecutor, DoesCallsInOnePassForAllRanks) {
  for (const Rank p : {1, 2, 3, 8}) {
    std::vector<std::unique_ptr<Job>> jobs;
    for (const auto collective : {Collective::all_reduce, Collective::all_gather, Collective::reduce_scatter,
                                  Collective::broadcast, Collective::all_to_all, Collective::barrier})
      for (const std::uint64_t count : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1003}, std::uint64_t{300'001}}) {
        Case c;
        c.row = find_algorithm(collective, "direct");
        if (c.row == nullptr) c.row = find_algorithm(collective, "pairwise");
        if (c.row == nullptr) c.row = find_algorithm(collective, "knomial");
        c.ranks = p;
        if (c.row != nullptr) jobs.push_back(std::make_unique<Job>(c, count));
      }
    ASSERT_GE(jobs.size(), 20U);
    on_threads(p, [&](const RankTools& rank) {
      for (const auto& job : jobs) job->run_in_one_pass(rank);
    });
  }
}

TEST(StreamExecutor, AveragesAndMultipliesInPieces) {
  constexpr Rank kRanks = 4;
  std::vector<std::unique_ptr<Job>> jobs;
  for (const Algorithm& a : algorithms()) {
    if (!reduces(a.collective) || a.collective == Collective::scan || a.collective == Collective::exscan) continue;
    for (const Case& c : cases(a, kRanks, false))
      for (const ReduceKind kind : {ReduceKind::avg, ReduceKind::premul_sum}) {
        jobs.push_back(std::make_unique<Job>(c, 501, DataType::i32, ReduceOp{.kind = kind, .scalar = 3}));
        jobs.back()->most_bytes = 1024;
      }
  }
  on_threads(kRanks, [&](const RankTools& rank) {
    for (const auto& job : jobs) job->run(rank);
  });
}

TEST(StreamExecutor, ReadsTheFactorFromTheDevice) {
  Job job(all_reduce(2), 100, DataType::f32, {.kind = ReduceKind::premul_sum, .scalar = 2});
  const Entered entered(d(), context_of_device(0));
  const TestMemory factor(4), memory(4 * 200);
  on_threads(2, [&](const RankTools& rank) {
    const auto prepared = job.prepare(rank);
    const Address mine = memory.at() + static_cast<Address>(rank.rank) * 400;
    const std::vector<float> ones(100, 1.5F);
    const float two = 2;
    done(d().copy(mine, address(ones.data()), 400, rank.stream));
    if (rank.rank == 0) done(d().copy(factor.at(), address(&two), 4, rank.stream));
    const DeviceBuffers buffers{mine, mine};
    (void)buffers;
    const auto call = job.call();
    Case in_place = all_reduce(2);
    in_place.in_place = InPlace::all;
    const auto run = gpu::prepare(rank, call, in_place.schedule(rank.rank));
    ok(rank.executor->enqueue(*run, {&buffers, 1}, {.value = 3, .on_device = rank.rank == 0 ? factor.at() : 0}, rank.stream));
    std::vector<float> out(100);
    done(d().copy(address(out.data()), mine, 400, rank.stream));
    done(d().synchronize(rank.stream));
    EXPECT_EQ(out, std::vector<float>(100, 7.5F));
  });
}

TEST(StreamExecutor, FoldsMoreOperandsThanAKernelTakes) {
  constexpr Rank kRanks = 20;
  std::vector<std::unique_ptr<Job>> jobs;
  for (const InPlace in_place : {InPlace::none, InPlace::all})
    for (const ReduceKind kind : {ReduceKind::sum, ReduceKind::avg, ReduceKind::max}) {
      Case c = all_reduce(kRanks);
      c.in_place = in_place;
      jobs.push_back(std::make_unique<Job>(c, 200, DataType::i32, ReduceOp{.kind = kind}));
    }
  on_threads(kRanks, [&](const RankTools& rank) {
    for (const auto& job : jobs) job->run(rank);
  });
}

TEST(CallOrder, WhatFollowsWaitsForWhatLeads) {
  const Entered entered(d(), context_of_device(0));
  auto words = PinnedMemory::make(d(), 3 * sizeof(std::uint32_t));
  auto order = CallOrder::make(d(), context_of_device(0));
  ASSERT_TRUE(words && order);
  auto* word = reinterpret_cast<std::uint32_t*>(words->data());
  std::fill_n(word, 3, 0U);
  const auto at = [&](int i) { return words->on_device() + static_cast<Address>(i) * sizeof(std::uint32_t); };
  const StreamHandle leader = new_stream(), follower = new_stream();
  done(d().wait_value(leader, at(0), 1, kWaitEqual));
  done(d().write_value(leader, at(1), 7, 0));
  ok(order->lead(leader));
  ok(order->follow(follower));
  done(d().copy(at(2), at(1), sizeof(std::uint32_t), follower));
  ok(order->lead(follower));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // enough for a stream that does not wait
  std::atomic_ref(word[0]).store(1);
  ok(order->wait());
  EXPECT_EQ(word[2], 7U);
  for (const StreamHandle stream : {leader, follower}) done(d().destroy_stream(stream));
}

TEST(StreamExecutor, CallsOnSeveralStreamsKeepTheirOrder) {
  constexpr Rank kRanks = 3;
  Job first(all_reduce(kRanks, "two_shot"), 5000), second(all_reduce(kRanks, "ring"), 700, DataType::i32, {}, 3);
  on_threads(kRanks, [&](const RankTools& rank) {
    const auto a = first.prepare(rank), b = second.prepare(rank);
    const StreamHandle other = new_stream();
    auto order = CallOrder::make(d(), context_of_device(0));
    if (!order) throw std::runtime_error(order.error().to_string());
    const auto enqueue = [&](const Job& job, const Prepared& prepared, StreamHandle stream) {
      ok(order->follow(stream));
      job.enqueue(rank, prepared, stream);
      ok(order->lead(stream));
    };
    first.fill(rank);
    second.fill(rank);
    done(d().synchronize(rank.stream));
    for (int i = 0; i < 10; ++i) {
      enqueue(first, *a, i % 2 == 0 ? rank.stream : other);
      enqueue(second, *b, i % 3 == 0 ? other : rank.stream);
    }
    ok(order->wait());
    EXPECT_TRUE(first.right(rank));
    EXPECT_TRUE(second.right(rank));
    done(d().destroy_stream(other));
  });
}

// Replayed with other data, and mixed with calls that are not captured.
TEST(StreamExecutor, IsCapturedIntoAGraph) {
  constexpr Rank kRanks = 3;
  for (const auto* row : {"direct", "two_shot", "ring", "recursive_doubling"}) {
    Case c = all_reduce(kRanks, row);
    Job captured(c, 1500);
    captured.most_bytes = 2048;  // pieces: an odd number, so that halves are used in other turns
    Job between(c, 900, DataType::i32, {}, 2);
    const Job late(c, 100'000);  // larger inboxes, once the graph is there
    on_threads(kRanks, [&](const RankTools& rank) {
      const auto a = captured.prepare(rank), b = between.prepare(rank);
      captured.enqueue(rank, *a);
      CUgraph graph = nullptr;
      CUgraphExec exec = nullptr;
      done(cuStreamBeginCapture_v2(rank.stream, kCaptureGlobal));
      captured.enqueue(rank, *a);
      captured.enqueue(rank, *a);
      done(cuStreamEndCapture(rank.stream, &graph));
      done(cuGraphInstantiateWithFlags(&exec, graph, 0));
      between.fill(rank);
      for (int replay = 0; replay < 3; ++replay) {
        captured.fill(rank);
        done(cuGraphLaunch(exec, rank.stream));
        EXPECT_TRUE(captured.right(rank)) << row << ", replay " << replay;
        between.enqueue(rank, *b);
        EXPECT_TRUE(between.right(rank));
        if (replay == 1) late.run(rank);
      }
      done(d().synchronize(rank.stream));
      done(cuGraphExecDestroy(exec));
      done(cuGraphDestroy(graph));
    });
  }
}

// Also while a stream of the communicator is being captured: lanes are opened beside it.
TEST(StreamExecutor, IsPreparedDuringACapture) {
  Job job(all_reduce(2), 3000);
  on_threads(2, [&](const RankTools& rank) {
    CUgraph graph = nullptr;
    CUgraphExec exec = nullptr;
    done(cuStreamBeginCapture_v2(rank.stream, kCaptureThreadLocal));
    const auto prepared = job.prepare(rank);
    job.enqueue(rank, *prepared);
    done(cuStreamEndCapture(rank.stream, &graph));
    done(cuGraphInstantiateWithFlags(&exec, graph, 0));
    job.fill(rank);
    done(cuGraphLaunch(exec, rank.stream));
    EXPECT_TRUE(job.right(rank));
    done(d().synchronize(rank.stream));
    done(cuGraphExecDestroy(exec));
    done(cuGraphDestroy(graph));
  });
}

class Messages : public testing::Test {
 protected:
  static std::shared_ptr<const Prepared> prepare(const RankTools& rank, const std::vector<Message>& group) {
    auto prepared = rank.executor->prepare(group);
    if (!prepared) throw std::runtime_error(prepared.error().to_string());
    return *prepared;
  }
  static std::vector<std::byte> pattern(std::uint64_t bytes, unsigned seed) {
    std::vector<std::byte> made(bytes);
    for (std::size_t i = 0; i < bytes; ++i) made[i] = static_cast<std::byte>(i * 7 + i / 251 + seed);
    return made;
  }
};

// Everybody to everybody, itself too, of unequal sizes, some of several pieces, two messages on each way; received in one group,
// or each for itself.
TEST_F(Messages, OfAGroupAllArrive) {
  constexpr Rank kRanks = 3;
  const auto bytes = [](Rank from, Rank to, int i) -> std::uint64_t {
    if ((from + to + i) % 5 == 4) return 0;
    return std::uint64_t{1} + static_cast<std::uint64_t>(from * 3 + to + i) * 999'983;
  };
  const Entered entered(d(), context_of_device(0));
  std::deque<TestMemory> in, out;
  for (int i = 0; i < kRanks * kRanks * 2; ++i)
    in.emplace_back(bytes(i / 6, i / 2 % 3, i % 2)), out.emplace_back(bytes(i / 6, i / 2 % 3, i % 2));
  const auto index = [](Rank from, Rank to, int i) { return static_cast<std::size_t>(from * 6 + to * 2 + i); };
  on_threads(kRanks, [&](const RankTools& rank) {
    std::vector<Message> group;
    std::vector<DeviceBuffers> buffers;
    for (Rank peer = kRanks; peer-- > 0;)
      for (const int i : {0, 1}) {
        group.push_back({peer, false, bytes(peer, rank.rank, i)});
        buffers.push_back({.input = 0, .output = out[index(peer, rank.rank, i)].at()});
        group.push_back({peer, true, bytes(rank.rank, peer, i)});
        buffers.push_back({.input = in[index(rank.rank, peer, i)].at(), .output = 0});
        put(buffers.back().input, pattern(bytes(rank.rank, peer, i), static_cast<unsigned>(index(rank.rank, peer, i))),
            rank.stream);
      }
    const auto all = prepare(rank, group);
    for (int times = 0; times < 2; ++times) ok(rank.executor->enqueue(*all, buffers, {}, rank.stream));
    for (Rank peer = 0; peer < kRanks; ++peer)
      for (const int i : {0, 1})
        EXPECT_EQ(take(out[index(peer, rank.rank, i)].at(), bytes(peer, rank.rank, i), rank.stream),
                  pattern(bytes(peer, rank.rank, i), static_cast<unsigned>(index(peer, rank.rank, i))));
  });
}

TEST_F(Messages, MayBeGroupedOtherwiseOnTheOtherSide) {
  constexpr std::uint64_t kBytes[] = {3'000'000, 100, 1'500'001};
  const Entered entered(d(), context_of_device(0));
  const TestMemory in(kBytes[0] + 1), out(5'000'000);
  on_threads(2, [&](const RankTools& rank) {
    if (rank.rank == 0) {
      std::vector<Message> group;
      std::vector<DeviceBuffers> buffers;
      for (const std::uint64_t bytes : kBytes) {
        group.push_back({1, true, bytes});
        buffers.push_back({.input = in.at(), .output = 0});
      }
      put(in.at(), pattern(kBytes[0], 1), rank.stream);
      ok(rank.executor->enqueue(*prepare(rank, group), buffers, {}, rank.stream));
      return;
    }
    for (const std::uint64_t bytes : kBytes) {
      const DeviceBuffers buffers{.input = 0, .output = out.at()};
      ok(rank.executor->enqueue(*prepare(rank, {{0, false, bytes}}), {&buffers, 1}, {}, rank.stream));
      EXPECT_EQ(take(out.at(), bytes, rank.stream), pattern(bytes, 1));
    }
  });
}

TEST_F(Messages, ToItselfMustBeWhole) {
  on_threads(1, [&](const RankTools& rank) {
    const std::vector<Message> half{{0, true, 10}}, uneven{{0, true, 10}, {0, false, 11}};
    for (const auto& group : {half, uneven}) {
      auto refused = rank.executor->prepare(group);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code(), Code::invalid_argument);
    }
  });
}

TEST(StreamExecutor, RefusesAUsersOperator) {
  on_threads(1, [&](const RankTools& rank) {
    const Case c = all_reduce(1);
    ReduceOp op{.kind = ReduceKind::user};
    op.user.apply = [](const void*, void*, std::size_t, DataType, void*) noexcept {};
    auto refused = rank.executor->prepare(c.call(10, DataType::i32, op), c.schedule(0));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::unsupported);
  });
}

// A rank that never makes the call: the others' streams go on once they abort. What they compute then is garbage, and where two
// of them do, they read and write it at once: ThreadSanitizer sees that, so there is one alone, or there are no data.
TEST(StreamExecutor, AbortFreesStreamsThatWaitForADeadRank) {
  std::vector<Case> all{all_reduce(2, "direct"), all_reduce(2, "ring"), all_reduce(2, "two_shot")};
  for (const auto* row : {"direct", "dissemination", "tree"}) {
    all.push_back(all_reduce(5));
    all.back().row = find_algorithm(Collective::barrier, row);
  }
  for (const Case& c : all) {
    Job job(c, 5000);
    job.most_bytes = 1024;
    std::barrier all_have_run(c.ranks), all_have_tried(c.ranks);
    on_threads(c.ranks, [&](const RankTools& rank) {
      job.run(rank);
      all_have_run.arrive_and_wait();
      const auto prepared = job.prepare(rank);
      if (rank.rank != 1) {
        for (int i = 0; i < 3; ++i) job.enqueue(rank, *prepared);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        EXPECT_EQ(d().query_stream(rank.stream), kNotReady);
        std::thread other([&] { ok(rank.executor->abort()); });
        other.join();
        done(d().synchronize(rank.stream));
        const DeviceBuffers none;
        auto refused = rank.executor->enqueue(*prepared, {&none, 1}, {}, rank.stream);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code(), Code::aborted);
      }
      all_have_tried.arrive_and_wait();
    });
  }
}

// What a communicator takes of a device, for each row with 8 ranks, calls of all sizes behind it.
TEST(StreamExecutor, TakesLessThan64MegabytesForEightRanks) {
  constexpr Rank kRanks = 8;
  for (const Algorithm& a : algorithms()) {
    if (!applies(a, kRanks) || a.collective == Collective::barrier) continue;
    const Case c = cases(a, kRanks, false).front();
    on_threads(kRanks, [&](const RankTools& rank) {
      for (const std::uint64_t count :
           {std::uint64_t{2}, std::uint64_t{50'000}, std::uint64_t{400'000}, std::uint64_t{50'000'000}})
        (void)prepare(rank, c.call(count), c.schedule(rank.rank));
      EXPECT_LT(rank.executor->memory_bytes(), std::uint64_t{64'000'000}) << c.text();
    });
  }
}

TEST(StreamExecutor, RanksOnSeveralDevicesReachEachOther) {
  setenv("STANDIN_DEVICES", "2", 1);
  ASSERT_EQ(cuInit(0), kSuccess);
  Job job(all_reduce(4), 4000);
  on_threads(
      4, [&](const RankTools& rank) { job.run(rank); }, 2);
  unsetenv("STANDIN_DEVICES");
  ASSERT_EQ(cuInit(0), kSuccess);
}

// One rank's trouble is everybody's answer.
TEST(StreamExecutor, AllRanksLearnWhyOneCannot) {
  constexpr Rank kRanks = 3;
  Post post;
  std::vector<std::thread> threads;
  std::atomic<int> refused = 0;
  for (Rank r = 0; r < kRanks; ++r)
    threads.emplace_back([&, r] {
      const Entered entered(d(), context_of_device(0));
      Post::Box box(post, r);
      auto with = setup(context_of_device(0), r, kRanks, box);
      if (r == 1) with.image = {};
      auto made = StreamExecutor::make(with);
      if (made) return;
      ++refused;
      EXPECT_EQ(made.error().code(), Code::unsupported);
      EXPECT_NE(made.error().to_string().find("rank 1: this library was built without device code"), std::string::npos)
          << made.error().to_string();
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(refused, kRanks);
}

}  // namespace
}  // namespace tutti::gpu
