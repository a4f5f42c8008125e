// Point to point, and groups of calls.
#include <numeric>

#include "tests/runtime/reference.h"

namespace tutti {
namespace {

Call send_to(Rank peer, const std::vector<int>& data) {
  return {.collective = Collective::send_recv,
          .input = data.data(),
          .count = data.size(),
          .type = DataType::i32,
          .destination = peer};
}
Call recv_from(Rank peer, std::vector<int>& data) {
  return {.collective = Collective::send_recv,
          .output = data.data(),
          .type = DataType::i32,
          .source = peer,
          .receive_count = data.size()};
}
std::vector<int> numbers(std::size_t count, int first) {
  std::vector<int> v(count);
  std::iota(v.begin(), v.end(), first);
  return v;
}

class PointToPoint : public testing::TestWithParam<std::string> {
 protected:
  void on_ranks(Rank p, const Body& body) { run_ranks(p, Options{.transports = GetParam()}, body); }
};
INSTANTIATE_TEST_SUITE_P(Transports, PointToPoint, testing::Values("shm", "tcp"), [](const auto& made) { return made.param; });

TEST_P(PointToPoint, OneSendsAndOneReceives) {
  on_ranks(3, [](Communicator& comm) {
    for (const std::size_t count : {0, 1, 100, 300000}) {
      const auto data = numbers(count, 5);
      std::vector<int> got(count, -1);
      if (comm.rank() == 2) ok(comm.send(std::span(data), 0));
      if (comm.rank() == 0) {
        ok(comm.recv(std::span(got), 2));
        EXPECT_TRUE(got == data);
      }
    }
  });
}

TEST_P(PointToPoint, ARingOfSendrecvForAllRanksAtOnce) {
  on_ranks(5, [](Communicator& comm) {
    const Rank next = (comm.rank() + 1) % 5, before = (comm.rank() + 4) % 5;
    for (const std::size_t count : {1, 1000, 200000}) {
      const auto mine = numbers(count, comm.rank() * 1000);
      std::vector<int> got(count);
      ok(comm.sendrecv(std::span(mine), next, std::span(got), before));
      EXPECT_TRUE(got == numbers(count, before * 1000));
    }
    // Different counts on both sides.
    const auto mine = numbers(static_cast<std::size_t>(comm.rank()) + 1, comm.rank());
    std::vector<int> got(static_cast<std::size_t>(before) + 1);
    ok(comm.sendrecv(std::span(mine), next, std::span(got), before));
    EXPECT_EQ(got, numbers(got.size(), before));
  });
}

TEST_P(PointToPoint, SeveralMessagesToOnePeerArriveInOrder) {
  on_ranks(2, [](Communicator& comm) {
    const Rank peer = 1 - comm.rank();
    std::vector<std::vector<int>> out, in;
    for (std::size_t i = 0; i < 20; ++i) {
      out.push_back(numbers(i * i * 50, static_cast<int>(i)));
      in.emplace_back(i * i * 50, -1);
    }
    Group group;  // both send first: nobody could if calls ran one after the other
    for (const auto& m : out) ok(group.add(comm, send_to(peer, m)));
    for (auto& m : in) ok(group.add(comm, recv_from(peer, m)));
    ok(group.run());
    EXPECT_TRUE(in == out);
    works(comm);
  });
}

TEST_P(PointToPoint, AndCollectivesInOneGroup) {
  on_ranks(4, [](Communicator& comm) {
    for (int round = 0; round < 3; ++round) {
      const Rank next = (comm.rank() + 1) % 4, before = (comm.rank() + 3) % 4;
      const auto mine = numbers(5000, comm.rank());
      std::vector<int> got(5000), sum(7, comm.rank()), more(70000, 1), all(4);
      const int rank = comm.rank();
      Group group;
      ok(group.add(
          comm,
          {.collective = Collective::all_reduce, .input = sum.data(), .output = sum.data(), .count = 7, .type = DataType::i32}));
      ok(group.add(comm, recv_from(before, got)));
      ok(group.add(
          comm, {.collective = Collective::all_gather, .input = &rank, .output = all.data(), .count = 1, .type = DataType::i32}));
      ok(group.add(comm, send_to(next, mine)));
      ok(group.add(comm, {.collective = Collective::all_reduce,
                          .input = more.data(),
                          .output = more.data(),
                          .count = more.size(),
                          .type = DataType::i32}));
      ok(group.run());
      EXPECT_EQ(sum, std::vector<int>(7, 6));
      EXPECT_EQ(all, numbers(4, 0));
      EXPECT_TRUE(more == std::vector<int>(70000, 4));
      EXPECT_TRUE(got == numbers(5000, before));
    }
  });
}

TEST(PointToPointAlone, ARankSendsToItselfInOneCallOnly) {
  for (const Rank p : {1, 2})
    run_ranks(p, [](Communicator& comm) {
      const auto mine = numbers(10, 3);
      std::vector<int> got(10), more(12);
      ok(comm.sendrecv(std::span(mine), comm.rank(), std::span(got), comm.rank()));
      EXPECT_EQ(got, mine);
      fails(comm.send(std::span(mine), comm.rank()), Code::invalid_argument, {"to itself", "same call"});
      fails(comm.recv(std::span(got), comm.rank()), Code::invalid_argument, {"from itself", "same call"});
      fails(comm.sendrecv(std::span(mine), comm.rank(), std::span(more), comm.rank()), Code::invalid_argument, {"10", "12"});
      works(comm);
    });
}

TEST(Groups, OneThreadOwnsSeveralRanks) {
  auto comms = make_communicators(4);
  for (const std::size_t count : {1, 30000}) {
    std::vector<std::vector<int>> data;
    for (int r = 0; r < 4; ++r) data.emplace_back(count, r);
    Group group;
    for (std::size_t r = 0; r < 4; ++r) {
      const Call sum{.collective = Collective::all_reduce,
                     .input = data[r].data(),
                     .output = data[r].data(),
                     .count = count,
                     .type = DataType::i32};
      ok(group.add(comms[r], sum));
      ok(group.add(comms[r], sum));
      ok(group.add(comms[r], {}));
    }
    ok(group.run());
    for (const auto& d : data) EXPECT_TRUE(d == std::vector<int>(count, 24));
  }
}

TEST(Groups, CommunicatorsOfDifferentJobsSideBySide) {
  auto a = make_communicators(2), b = make_communicators(3);
  std::vector<std::vector<int>> data(5, std::vector<int>(100, 1));
  Group group;
  for (std::size_t i = 0; i < 5; ++i)
    ok(group.add(i < 2 ? a[i] : b[i - 2], {.collective = Collective::all_reduce,
                                           .input = data[i].data(),
                                           .output = data[i].data(),
                                           .count = 100,
                                           .type = DataType::i32}));
  ok(group.run());
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(data[i], std::vector<int>(100, i < 2 ? 2 : 3));
}

TEST(Groups, AWrongCallHarmsNobody) {
  run_ranks(2, [](Communicator& comm) {
    int one = 1;
    const Call good{.collective = Collective::all_reduce, .input = &one, .output = &one, .count = 1, .type = DataType::i32};
    Call wrong = good;
    wrong.algorithm = "no_such";
    for (const auto& [first, second] : {std::pair(good, wrong), std::pair(wrong, good)}) {
      Group group;
      ok(group.add(comm, first));
      ok(group.add(comm, second));
      fails(group.run(), Code::invalid_argument, {"no_such"});
      EXPECT_EQ(one, 1);
      works(comm);
    }
    auto other = comm.duplicate().value_or_throw();
    Group group;
    ok(group.add(comm, good));
    ok(group.add(other, good));
    const Communicator moved = std::move(other);
    fails(group.run(), Code::invalid_argument, {"moved away"});
    works(comm);
  });
}

TEST(Groups, AnEmptyGroupAndOneThatIsUsedAgain) {
  run_ranks(2, [](Communicator& comm) {
    Group group;
    ok(group.run());
    for (int i = 0; i < 2; ++i) {
      int one = 1;
      ok(group.add(comm,
                   {.collective = Collective::all_reduce, .input = &one, .output = &one, .count = 1, .type = DataType::i32}));
      ok(group.run());
      EXPECT_EQ(one, 2);
    }
    fails(group.add(comm, send_to(2, {})), Code::invalid_argument, {"destination 2", "rank"});
    ok(group.run());
    works(comm);
  });
}

}  // namespace
}  // namespace tutti
