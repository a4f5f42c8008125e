// Ranks that disagree, leave, come late, run out of memory or are told to stop: every rank gets an error, and none waits for
// ever.
#include <atomic>
#include <latch>

#include "tests/runtime/communicators.h"
#include "tutti/standby_id.h"

namespace tutti {
namespace {

int gMemory[4][4096];  // one buffer per rank; what is in it does not matter
Call call_of(Rank me, Collective collective, std::uint64_t count) {
  return {.collective = collective, .input = gMemory[me], .output = gMemory[me] + 2048, .count = count, .type = DataType::i32};
}

struct Disagreement {
  std::string what;
  void (*change)(Call&);
  std::vector<std::string> words;
};

class Disagreements : public testing::TestWithParam<std::tuple<Disagreement, std::string>> {};

// Rank 1 makes a different call than the others.
TEST_P(Disagreements, AreShownWithBothSides) {
  const auto& [disagreement, transport] = GetParam();
  run_ranks(3, Options{.transports = transport}, [&](Communicator& comm) {
    works(comm);
    Call call = call_of(comm.rank(), Collective::all_reduce, 100);
    if (comm.rank() == 1) disagreement.change(call);
    fails(comm.run(call), Code::mismatch, disagreement.words);
    fails(comm.barrier(), Code::mismatch, {"failed before"});
    fails(comm.split(0), Code::mismatch, {"failed before"});
  });
}
const Disagreement kDisagreements[]{
    {"counts", [](Call& c) { c.count = 101; }, {"count 100", "count 101"}},
    {"types", [](Call& c) { c.type = DataType::f32; }, {"i32", "f32"}},
    {"operators", [](Call& c) { c.op.kind = ReduceKind::max; }, {"sum", "max"}},
    {"collectives", [](Call& c) { c.collective = Collective::all_gather; }, {"all_reduce", "all_gather"}},
    {"algorithms", [](Call& c) { c.algorithm = "ring"; }, {"all_reduce", "algorithm"}},
};
INSTANTIATE_TEST_SUITE_P(Kinds, Disagreements, testing::Combine(testing::ValuesIn(kDisagreements), testing::Values("shm", "tcp")),
                         [](const auto& made) { return std::get<0>(made.param).what + "_" + std::get<1>(made.param); });

// Both take themselves for the root and send; the next call finds what nobody has taken.
TEST(Disagreement, AboutTheRoot) {
  run_ranks(2, [](Communicator& comm) {
    int data = 1;
    Status s = comm.broadcast(std::span(&data, 1), comm.rank());
    if (s) s = comm.barrier();
    fails(std::move(s), Code::mismatch, {"broadcast", "root", "barrier", "call #1"});
  });
}

void ignore(const void*, void*, std::size_t, DataType, void*) noexcept {}

TEST(Disagreement, AboutTheSizeOfAUsersElements) {
  run_ranks(2, [](Communicator& comm) {
    Call call = call_of(comm.rank(), Collective::all_reduce, 10);
    const std::size_t bytes = comm.rank() == 0 ? 24 : 32;
    call.op = {.kind = ReduceKind::user, .user = {.apply = ignore, .element_bytes = bytes}};
    fails(comm.run(call), Code::mismatch, {"elements of 24 bytes", "elements of 32 bytes"});
  });
}

// Nobody sends anything, so no message can show it: ranks that wait for long ask each other.
TEST(Disagreement, AboutTheRootWhereBothOnlyReceive) {
  run_ranks(2, [](Communicator& comm) {
    std::vector<int> in(3, 1), out(6);
    fails(comm.gather<int>(in, out, comm.rank()), Code::mismatch, {"gather #1", "root 0", "root 1"});
  });
}

TEST(Disagreement, AboutASequenceOfCalls) {
  run_ranks(2, [](Communicator& comm) {
    Status s;
    for (int i = 0; i < 3 && s; ++i)
      s = comm.run(call_of(comm.rank(), (i + comm.rank()) % 2 == 0 ? Collective::all_reduce : Collective::barrier, 1));
    fails(std::move(s), Code::mismatch, {"all_reduce", "barrier"});
  });
}

TEST(Disagreement, AboutTheSizeOfAMessage) {
  run_ranks(2, [](Communicator& comm) {
    std::vector<int> data(comm.rank() == 0 ? 4 : 5);
    // The sender may be done before the receiver looks; then it hears of it in its next call.
    Status s = comm.rank() == 0 ? comm.send(std::span<const int>(data), 1) : comm.recv(std::span(data), 0);
    if (s && comm.rank() == 0) s = comm.barrier();
    fails(std::move(s), Code::mismatch, {"16 bytes", "20 bytes"});
  });
}

TEST(Abort, EndsEveryWaitWithItsReason) {
  std::latch waiting(2);
  run_ranks(3, [&](Communicator& comm) {
    works(comm);
    if (comm.rank() == 2) {
      waiting.wait();
      comm.abort("the user is tired");
    } else {
      waiting.count_down();
    }
    fails(comm.barrier(), Code::aborted, {"rank 2", "the user is tired"});
    fails(comm.barrier(), Code::aborted, {"failed before", "the user is tired"});
  });
}

TEST(Abort, FromAnotherThreadOfTheRankThatWaits) {
  run_ranks(2, [](Communicator& comm) {
    works(comm);
    std::thread other;
    if (comm.rank() == 0) other = std::thread([&] { comm.abort("changed our mind"); });
    int data = 1;
    // Rank 1 sends nothing: without the abort, rank 0 would wait until its time is up.
    auto s = comm.rank() == 0 ? comm.recv(std::span(&data, 1), 1) : comm.recv(std::span(&data, 1), 0);
    if (other.joinable()) other.join();
    fails(std::move(s), Code::aborted, {"rank 0", "changed our mind"});
  });
}

TEST(Abort, EndsAsynchronousCallsAndGroupsToo) {
  run_ranks(2, [](Communicator& comm) {
    auto other = comm.duplicate().value_or_throw();
    if (comm.rank() == 1) {
      comm.abort("first");
      other.abort("second");
      return;
    }
    Work work = comm.start(call_of(0, Collective::all_reduce, 5)).value_or_throw();
    fails(work.wait(), Code::aborted, {"first"});
    Group group;
    ok(group.add(other, call_of(0, Collective::all_reduce, 5)));
    fails(group.run(), Code::aborted, {"second"});
    Group again;
    ok(again.add(other, call_of(0, Collective::all_reduce, 5)));
    fails(again.run(), Code::aborted, {"failed before"});
  });
}

TEST(Abort, EndsACommunicatorOfOneRank) {
  run_ranks(1, [](Communicator& comm) {
    auto part = comm.split(0).value_or_throw();
    part.abort("no more of this");
    fails(part.barrier(), Code::aborted, {"no more of this"});
    fails(part.split(0), Code::aborted, {"failed before"});
    works(comm);
    comm.abort("nor of that");
    fails(comm.barrier(), Code::aborted, {"nor of that"});
  });
}

class Leaving : public testing::TestWithParam<std::string> {};
TEST_P(Leaving, EarlyIsNoticedByThoseWhoWait) {
  run_ranks(3, Options{.transports = GetParam()}, [](Communicator& comm) {
    works(comm);
    if (comm.rank() == 1) return;
    fails(comm.barrier(), Code::peer_lost, {"rank 1"});
    fails(comm.barrier(), Code::peer_lost, {"failed before", "rank 1"});
  });
}
TEST_P(Leaving, BeforeTheFirstCallIsNoticedToo) {
  run_ranks(2, Options{.transports = GetParam()}, [](Communicator& comm) {
    if (comm.rank() == 1) return;
    fails(comm.barrier(), Code::peer_lost, {"rank 1", "finished and left"});
  });
}
// Also by those who only ask, from any thread, without a call.
TEST_P(Leaving, IsToldToWhoAsks) {
  std::latch asked(3);
  run_ranks(3, Options{.transports = GetParam()}, [&](Communicator& comm) {
    works(comm);
    ok(comm.still_here((comm.rank() + 1) % 3));
    asked.arrive_and_wait();
    if (comm.rank() == 1) return;
    std::thread([&] {
      Status s;
      while ((s = comm.still_here(1))) std::this_thread::yield();
      fails(std::move(s), Code::peer_lost, {"rank 1", "finished and left"});
    }).join();
    fails(comm.still_here(3), Code::invalid_argument, {"no rank 3 of 3"});
    fails(comm.still_here(-1), Code::invalid_argument, {"no rank -1 of 3"});
  });
}
// What it sent before it left still arrives.
TEST_P(Leaving, AfterTheLastMessageIsNoFailure) {
  run_ranks(2, Options{.transports = GetParam()}, [](Communicator& comm) {
    std::vector<int> data(10, comm.rank());
    if (comm.rank() == 1) return ok(comm.send(std::span<const int>(data), 0));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ok(comm.recv(std::span(data), 1));
    EXPECT_EQ(data, std::vector<int>(10, 1));
  });
}
INSTANTIATE_TEST_SUITE_P(Transports, Leaving, testing::Values("shm", "tcp"), [](const auto& made) { return made.param; });

// Whatever the ranks are waiting for just then.
TEST(Start, CanBeGivenUpAtAnyTime) {
  for (int after_ms = 0; after_ms < 60; after_ms += 3) {
    const auto id = create_unique_id(120).value_or_throw();
    std::stop_source source;
    std::vector<std::thread> ranks;
    for (Rank rank = 0; rank < 3; ++rank)
      ranks.emplace_back([&, rank] {
        auto comm = Communicator::create(id, rank, 3, {.timeout_s = 1e6, .stop = source.get_token()});
        if (comm) return;
        EXPECT_THAT(comm.error().code(), testing::AnyOf(Code::aborted, Code::peer_lost)) << comm.error().to_string();
      });
    std::this_thread::sleep_for(std::chrono::milliseconds(after_ms));
    source.request_stop();
    for (auto& rank : ranks) rank.join();
  }
}

TEST(Start, OfAPartCanBeGivenUp) {
  std::latch given_up(1);
  run_ranks(3, Options{.timeout_s = 1e6}, [&](Communicator& comm) {
    works(comm);
    if (comm.rank() > 0) {
      given_up.wait();
      return fails(comm.split(0), Code::aborted, {"given up"});
    }
    std::stop_source source;
    std::thread asks([&] { source.request_stop(); });
    fails(comm.split(0, 0, source.get_token()), Code::aborted, {"given up"});
    asks.join();
    given_up.count_down();
    fails(comm.barrier(), Code::aborted, {"failed before"});
  });
}

// The time is long enough for the ranks to find each other on any machine, because it limits that as well.
TEST(Timeout, NamesTheLateRank) {
  std::latch given_up(2);
  run_ranks(3, Options{.timeout_s = 4}, [&](Communicator& comm) {
    works(comm);
    if (comm.rank() == 2) return given_up.wait();
    fails(comm.run(call_of(comm.rank(), Collective::all_reduce, 7)), Code::timeout,
          {"4 s", "TUTTI_TIMEOUT", "rank 2", "count 7"});
    given_up.count_down();
  });
}

TEST(Timeout, OfAGroupIsTheLeastOfItsCommunicators) {
  const auto id = create_unique_id(120);
  ASSERT_TRUE(id);
  std::latch given_up(1);
  run_ranks(2, Options{.timeout_s = 4}, [&](Communicator& hasty) {
    auto patient = Communicator::create(*id, hasty.rank(), 2, {.timeout_s = 50}).value_or_throw();
    works(hasty);
    works(patient);
    if (hasty.rank() == 1) return given_up.wait();
    Group group;
    ok(group.add(hasty, {}));
    ok(group.add(patient, {}));
    fails(group.run(), Code::timeout, {" 4 s", "TUTTI_TIMEOUT"});
    fails(hasty.barrier(), Code::timeout, {"failed before"});
    fails(patient.barrier(), Code::timeout, {"failed before"});
    given_up.count_down();
  });
}

// More than connections hold, so that neither send can be done before the other side receives.
TEST(Timeout, OfSendsToEachOtherTellsOfSendrecv) {
  run_ranks(2, Options{.timeout_s = 4, .transports = "shm"}, [](Communicator& comm) {
    const std::vector<int> data(std::size_t{16} << 20);
    fails(comm.send(std::span(data), 1 - comm.rank()), Code::timeout, {"sending to rank", "has not received", "sendrecv"});
  });
}

TEST(Memory, ALimitThatIsTooSmallIsAnErrorOnEveryRank) {
  const auto options = [](Rank rank) { return Options{.memory_limit = rank == 1 ? std::uint64_t{1} << 20 : 0}; };
  run_ranks(3, options, [](Communicator& comm) {
    std::vector<int> in(1000000, 1), out(1000000);
    const Call call{.collective = Collective::all_reduce,
                    .input = in.data(),
                    .output = out.data(),
                    .count = in.size(),
                    .type = DataType::i32,
                    .algorithm = "direct"};
    fails(comm.run(call), Code::resource, {"rank 1", "1048576", "TUTTI_MEMORY_LIMIT"});
    fails(comm.run(call), Code::resource, {"failed before", "1048576"});
  });
}

// Connections take what they take; of plans only the newest must fit.
TEST(Memory, OldPlansGiveWay) {
  constexpr std::uint64_t kRoomForPlans = std::uint64_t{64} << 10;
  std::uint64_t connections = 0;
  run_ranks(2, [&](Communicator& comm) {
    works(comm);
    if (comm.rank() == 0) connections = comm.memory().transport_bytes;
  });
  run_ranks(2, Options{.memory_limit = connections + kRoomForPlans}, [&](Communicator& comm) {
    std::vector<int> in(500, 1), out(500);
    for (int round = 0; round < 2; ++round)
      for (std::size_t n = 1; n <= in.size(); ++n) {
        ok(comm.all_reduce<int>(std::span<const int>(in).first(n), std::span(out).first(n)));
        ASSERT_EQ(std::count(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(n), 2), static_cast<std::ptrdiff_t>(n));
        ASSERT_LE(comm.memory().total(), connections + kRoomForPlans);
      }
  });
}

TEST(Memory, ALimitThatIsLargeEnoughIsNone) {
  run_ranks(2, Options{.memory_limit = std::uint64_t{256} << 20}, [](Communicator& comm) {
    works(comm);
    EXPECT_LE(comm.memory().total(), std::uint64_t{256} << 20);
  });
}

// After a communicator has failed, those that are left make another one, at a place that was agreed on before.
TEST(Standby, RanksThatAreLeftMeetThere) {
  constexpr Rank kRanks = 4, kGone = 0;
  run_ranks(kRanks, [&](Communicator& comm) {
    auto standby = StandbyId::make();
    ASSERT_TRUE(standby) << standby.error().to_string();
    std::vector<std::byte> ids(kRanks * UniqueId::kSize);
    ok(comm.all_gather(std::span<const std::byte>(standby->id().bytes), std::span(ids)));
    if (comm.rank() == kGone) return comm.abort("gone");
    fails(comm.barrier(), Code::aborted, {"gone"});
    UniqueId id;
    std::copy_n(ids.begin() + UniqueId::kSize, UniqueId::kSize, id.bytes.begin());  // rank 1's
    if (comm.rank() == 1) {
      ok(standby->open(60));
      fails(standby->open(60), Code::invalid_argument, {"once"});
    }
    auto rest = Communicator::create(id, comm.rank() - 1, kRanks - 1, {.part_of = &comm});
    ASSERT_TRUE(rest) << rest.error().to_string();
    works(*rest);
  });
}

}  // namespace
}  // namespace tutti
