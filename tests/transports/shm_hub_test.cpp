// What the listening side of shared memory makes of those who knock.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "transports/shm/hub.h"

namespace tutti::shm {
namespace {

// While it lives, this process can open no file.
class NoDescriptorLeft {
 public:
  NoDescriptorLeft() {
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit none{.rlim_cur = static_cast<rlim_t>(Fd(dup(0)).get()), .rlim_max = before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  ~NoDescriptorLeft() { EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before_), 0); }
  NoDescriptorLeft(const NoDescriptorLeft&) = delete;
  NoDescriptorLeft& operator=(const NoDescriptorLeft&) = delete;

 private:
  rlimit before_{};
};

TEST(ShmHub, AFullTableOfDescriptorsIsSaidAndPasses) {
  Hub hub({.secret = random_secret(), .interface = "", .shm_bytes = std::size_t{1} << 20});
  hub.open().value_or_throw();
  const Fd visitor = connect_to(hub.socket_name(), kNoRank).value_or_throw();
  const Key key{.me = 0, .peer = 1};
  // Looks at what came of it only afterwards: sanitizers need descriptors for their own checks.
  const auto accept_with_none_left = [&] {
    const NoDescriptorLeft full;
    return hub.accept(key);
  };
  const auto nobody = accept_with_none_left();
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code(), Code::resource);
  EXPECT_THAT(nobody.error().message(), testing::AllOf(testing::HasSubstr("EMFILE"), testing::HasSubstr("ulimit -n")));
  for (int look = 0; look < 2; ++look) {
    const auto not_yet = hub.accept(key);
    ASSERT_TRUE(not_yet) << not_yet.error().to_string();
    EXPECT_FALSE(*not_yet);                // it has not said who it is
    EXPECT_TRUE(accept_with_none_left());  // what is being heard may end by itself
  }
}

TEST(ShmHub, ConnectionsOfAStreamShareABoardUntilTheLastIsReleased) {
  Hub hub({.secret = random_secret(), .interface = "", .shm_bytes = std::size_t{1} << 20});
  hub.open().value_or_throw();
  const auto request = [](Rank peer, std::uint64_t stream) {
    return ConnectRequest{.me = 0, .peer = peer, .stream = stream, .peer_address = {}, .members = 3};
  };
  const std::size_t before = hub.arena().free_bytes();
  auto one = hub.board(request(1, 7)).value_or_throw(), two = hub.board(request(2, 7)).value_or_throw();
  EXPECT_EQ(one, two);
  EXPECT_NE(hub.board(request(1, 8)).value_or_throw(), one);
  const std::size_t offset = one->region().offset, size = one->region().size;
  const auto release = [&](std::shared_ptr<ShmBoard> board) {
    hub.release(hub.allocate_lane().value_or_throw(), 0, std::move(board), Fd());
  };
  release(std::move(one));
  EXPECT_EQ(hub.board(request(1, 7)).value_or_throw(), two);
  release(std::move(two));
  EXPECT_EQ(hub.arena().free_bytes(), before);
  auto next = hub.board(request(1, 9)).value_or_throw();
  EXPECT_EQ(next->region().offset, offset);
  EXPECT_EQ(next->region().size, size);
}

// Late ones get the least; when there is four times as much as was asked for, there is no more.
TEST(ShmHub, BoardsAreSmallerWhereMemoryIsScarceAndThenRefused) {
  Hub hub({.secret = random_secret(), .interface = "", .shm_bytes = std::size_t{256} << 10});
  hub.open().value_or_throw();
  std::vector<std::shared_ptr<ShmBoard>> boards;
  for (std::uint64_t stream = 0;; ++stream) {
    auto board = hub.board({.me = 0, .peer = 1, .stream = stream, .peer_address = {}, .members = 3});
    if (!board) {
      EXPECT_EQ(board.error().code(), Code::resource);
      EXPECT_THAT(board.error().message(), testing::HasSubstr("TUTTI_SHM_BYTES"));
      break;
    }
    boards.push_back(std::move(*board));
    ASSERT_LT(stream, 1000U);
  }
  EXPECT_GT(boards.size(), 50U);
  EXPECT_GT(boards.front()->region().size, 4 * boards.back()->region().size);
  EXPECT_EQ(boards.back()->region().size, sizeof(BoardMemory) + ShmBoard::least_stage(3));
}

TEST(ShmHub, MembersMustHaveARankOnTheBoard) {
  Hub hub({.secret = random_secret(), .interface = "", .shm_bytes = std::size_t{1} << 20});
  hub.open().value_or_throw();
  for (const auto& [me, peer, members] : {std::tuple{0, 3, 3}, std::tuple{3, 0, 3}, std::tuple{0, 1, Board::kMostMembers + 1}})
    EXPECT_FALSE(hub.board({.me = me, .peer = peer, .stream = 1, .peer_address = {}, .members = members}));
}

}  // namespace
}  // namespace tutti::shm
