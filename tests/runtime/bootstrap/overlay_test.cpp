#include "bootstrap/overlay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "bootstrap/neighbours.h"
#include "ranks.h"

namespace tutti {
namespace {

using testing::HasSubstr;

std::vector<std::byte> block_of(Rank rank, int round) {
  return std::vector<std::byte>(static_cast<std::size_t>(rank * 37 % 11 * (round + 1)), static_cast<std::byte>(rank + 1));
}

void expect_all_blocks(Overlay& overlay, int round) {
  auto all = overlay.all_gather(block_of(overlay.rank(), round));
  ASSERT_TRUE(all) << all.error().to_string();
  ASSERT_EQ(all->size(), static_cast<std::size_t>(overlay.size()));
  for (Rank rank = 0; rank < overlay.size(); ++rank) EXPECT_EQ((*all)[static_cast<std::size_t>(rank)], block_of(rank, round));
}

TEST(Neighbours, EveryLinkHasTwoEnds) {
  for (Rank size = 1; size <= 70; ++size) {
    EXPECT_GE(1 << link_count(size), size);
    for (Rank rank = 0; rank < size; ++rank)
      for (int link = 0; link < link_count(size); ++link) {
        EXPECT_NE(next_rank(rank, size, link), rank);
        EXPECT_EQ(previous_rank(next_rank(rank, size, link), size, link), rank);
      }
  }
}

class AllGather : public testing::TestWithParam<Rank> {};

TEST_P(AllGather, BringsEveryBlockToEveryRank) {
  const Rank size = GetParam();
  auto sessions = make_sessions(size);
  each_rank(size, [&](Rank rank) {
    Overlay& overlay = *sessions[static_cast<std::size_t>(rank)].overlay;
    for (int round = 0; round < 4; ++round) expect_all_blocks(overlay, round);
    for (Rank peer = 0; peer < size; ++peer) {
      EXPECT_GT(overlay.member(peer).pid, 0);
      EXPECT_THAT(overlay.describe(peer), HasSubstr("rank " + std::to_string(peer) + " (host "));
    }
    EXPECT_TRUE(overlay.poll_failures());
    overlay.goodbye();
  });
}

INSTANTIATE_TEST_SUITE_P(Sizes, AllGather, testing::Range(1, 18),
                         [](const auto& row) { return std::to_string(row.param) + "Ranks"; });

TEST(Overlay, OneRankOpensNothing) {
  auto overlay = Overlay::connect({}).value_or_throw();
  std::vector<pollfd> fds;
  overlay->append_fds(fds);
  EXPECT_TRUE(fds.empty());
  EXPECT_TRUE(overlay->still_here(0));
}

TEST(Overlay, LargeBlocksPass) {
  constexpr Rank kSize = 5;
  constexpr std::size_t kBytes = 3u << 20;
  auto sessions = make_sessions(kSize);
  each_rank(kSize, [&](Rank rank) {
    const std::vector<std::byte> mine(kBytes, static_cast<std::byte>(rank + 1));
    auto all = sessions[static_cast<std::size_t>(rank)].overlay->all_gather(mine);
    ASSERT_TRUE(all) << all.error().to_string();
    for (Rank peer = 0; peer < kSize; ++peer)
      EXPECT_EQ((*all)[static_cast<std::size_t>(peer)], std::vector<std::byte>(kBytes, static_cast<std::byte>(peer + 1)));
  });
}

TEST(Overlay, ATooLargeBlockFailsEverywhere) {
  constexpr Rank kSize = 3;
  auto sessions = make_sessions(kSize);
  each_rank(kSize, [&](Rank rank) {
    const std::vector<std::byte> mine(rank == 1 ? Overlay::kMaxBlob + 1 : 1);
    auto all = sessions[static_cast<std::size_t>(rank)].overlay->all_gather(mine);
    ASSERT_FALSE(all);
    EXPECT_EQ(all.error().peer(), 1);
    EXPECT_THAT(all.error().to_string(), HasSubstr("rank 1 wants to exchange"));
  });
}

TEST(Overlay, ARankThatDoesNotTakePartIsATimeout) {
  constexpr Rank kSize = 2;
  auto sessions = make_sessions(kSize);
  auto all = sessions[0].overlay->all_gather({}, std::chrono::milliseconds(200));
  ASSERT_FALSE(all);
  EXPECT_EQ(all.error().code(), Code::timeout);
  EXPECT_EQ(all.error().peer(), 1);
  auto told = await_failure(*sessions[1].overlay);
  ASSERT_FALSE(told);
  EXPECT_THAT(told.error().to_string(), HasSubstr("told by rank 0"));
}

// A rank whose connections just end, as those of a killed process do.
TEST(Overlay, EverySurvivorNamesTheDead) {
  for (const Rank size : {2, 3, 8, 13}) {
    auto sessions = make_sessions(size);
    const Rank dead = size / 2;
    sessions[static_cast<std::size_t>(dead)].overlay.reset();
    each_rank(size, [&](Rank rank) {
      if (rank == dead) return;
      Overlay& overlay = *sessions[static_cast<std::size_t>(rank)].overlay;
      auto failure = await_failure(overlay);
      ASSERT_FALSE(failure) << "rank " << rank;
      EXPECT_EQ(failure.error().code(), Code::peer_lost);
      EXPECT_EQ(failure.error().peer(), dead) << failure.error().to_string();
      EXPECT_THAT(failure.error().to_string(), HasSubstr("rank " + std::to_string(dead) + " (host "));
      EXPECT_THAT(failure.error().to_string(), HasSubstr("died or closed its connection"));
      // A rank that gives up now is no second dead one to the others.
      sessions[static_cast<std::size_t>(rank)].overlay.reset();
    });
  }
}

TEST(Overlay, AWaitingExchangeEndsWhenARankDies) {
  constexpr Rank kSize = 6;
  auto sessions = make_sessions(kSize);
  each_rank(kSize, [&](Rank rank) {
    auto& overlay = sessions[static_cast<std::size_t>(rank)].overlay;
    if (rank == 2) return overlay.reset();
    auto all = overlay->all_gather({});
    ASSERT_FALSE(all);
    EXPECT_EQ(all.error().peer(), 2) << all.error().to_string();
  });
}

TEST(Overlay, AnAbortReachesEveryRank) {
  constexpr Rank kSize = 13;
  auto sessions = make_sessions(kSize);
  each_rank(kSize, [&](Rank rank) {
    Overlay& overlay = *sessions[static_cast<std::size_t>(rank)].overlay;
    if (rank == 4) overlay.abort(Error(Code::mismatch, "count 3 here, 4 there " + std::string(4000, '!'), 9));
    auto failure = await_failure(overlay);
    ASSERT_FALSE(failure);
    EXPECT_EQ(failure.error().code(), Code::mismatch);
    EXPECT_EQ(failure.error().peer(), 9);
    EXPECT_THAT(failure.error().to_string(), HasSubstr("count 3 here, 4 there"));
    if (rank != 4) {
      EXPECT_THAT(failure.error().to_string(), HasSubstr("told by rank 4 (host "));
    }
    // And stays.
    EXPECT_EQ(overlay.poll_failures().error().peer(), 9);
    EXPECT_EQ(overlay.still_here(0).error().code(), Code::mismatch);
  });
}

TEST(Overlay, WhoSaidGoodbyeIsNotDeadButGone) {
  constexpr Rank kSize = 8;
  auto sessions = make_sessions(kSize);
  sessions[3].overlay->goodbye();
  sessions[3].overlay.reset();
  each_rank(kSize, [&](Rank rank) {
    if (rank == 3) return;
    Overlay& overlay = *sessions[static_cast<std::size_t>(rank)].overlay;
    const TimePoint deadline = Clock::now() + std::chrono::seconds(30);
    Status here;
    while ((here = overlay.still_here(3)) && Clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ASSERT_TRUE(overlay.poll_failures());
    }
    ASSERT_FALSE(here) << "rank " << rank << " never heard that rank 3 left";
    EXPECT_EQ(here.error().code(), Code::peer_lost);
    EXPECT_EQ(here.error().peer(), 3);
    EXPECT_THAT(here.error().message(), HasSubstr("has finished and left"));
    EXPECT_TRUE(overlay.poll_failures());
    EXPECT_TRUE(overlay.still_here((rank + 1) % kSize == 3 ? 4 : (rank + 1) % kSize));
  });
  // The others still find out about a real death.
  sessions[5].overlay.reset();
  each_rank(kSize, [&](Rank rank) {
    if (rank == 3 || rank == 5) return;
    auto failure = await_failure(*sessions[static_cast<std::size_t>(rank)].overlay);
    ASSERT_FALSE(failure);
    EXPECT_EQ(failure.error().peer(), 5);
  });
}

TEST(Overlay, AbortFromAnotherThreadEndsAnExchange) {
  auto sessions = make_sessions(2);
  std::thread other([&] { sessions[0].overlay->abort(Error(Code::aborted, "enough")); });
  auto all = sessions[0].overlay->all_gather({});
  other.join();
  ASSERT_FALSE(all);
  EXPECT_EQ(all.error().code(), Code::aborted);
}

// A member of the job that speaks nonsense: two ranks, of which the second is played by the test with a bare channel.
class Impostor {
 public:
  Impostor() {
    Fd listener = listen_at(v4_loopback()).value_or_throw();
    const SocketAddress mine = SocketAddress::of_socket(listener.get()).value_or_throw();
    Fd theirs = listen_at(v4_loopback()).value_or_throw();
    const SocketAddress victim_address = SocketAddress::of_socket(theirs.get()).value_or_throw();
    std::thread victim([&] {
      overlay_ = Overlay::connect({0, 2, secret_, 5, std::move(theirs), {mine}, std::chrono::seconds(30)}).value_or_throw();
    });
    Hello hello;
    hello.job = 5;
    hello.rank = 1;
    hello.size = 2;
    hello.member = Member::of_this_process();
    Fd out = start_connect(victim_address).value_or_throw();
    sender_ = std::make_unique<Channel>(std::move(out), Handshake::Role::connects, secret_, hello.encode(), 1u << 20);
    std::unique_ptr<Channel> receiver;
    while (!receiver || !receiver->is_open() || !sender_->is_open()) {
      if (!receiver) {
        auto accepted = accept_next(listener.get()).value_or_throw();
        if (accepted.fd)
          receiver =
              std::make_unique<Channel>(std::move(accepted.fd), Handshake::Role::accepts, secret_, hello.encode(), 1u << 20);
      } else if (!receiver->is_open()) {
        receiver->progress().value_or_throw();
      }
      sender_->progress().value_or_throw();
    }
    receiver_ = std::move(receiver);
    // The first exchange is who is who.
    Writer me;
    hello.member.encode(me);
    send(Writer()
             .value(std::uint8_t{1})
             .value(std::uint32_t{1})
             .value(std::uint8_t{0})
             .value(std::uint32_t{1})
             .bytes(me.take())
             .take());
    victim.join();
  }
  void send(ConstBytes frame) {
    sender_->send(frame);
    while (!sender_->flushed()) sender_->flush();
  }
  // All at once, and without reading on: what the system does not hold waits for the victim to look.
  void queue(ConstBytes frame) { sender_->send(frame); }
  bool flush() {
    sender_->flush();
    return sender_->flushed();
  }
  Overlay& victim() { return *overlay_; }

 private:
  Secret secret_ = random_secret();
  std::unique_ptr<Channel> sender_, receiver_;
  std::unique_ptr<Overlay> overlay_;
};

TEST(Overlay, NonsenseOfAMemberIsAnErrorThatNamesIt) {
  std::mt19937 random(3);
  for (int round = 0; round < 100; ++round) {
    Impostor impostor;
    std::vector<std::byte> frame(1 + random() % 64);
    for (auto& b : frame) b = static_cast<std::byte>(random());
    frame[0] = static_cast<std::byte>(2 + random() % 4);  // no kind that is only put aside
    impostor.send(frame);
    auto failure = await_failure(impostor.victim());
    ASSERT_FALSE(failure);
    EXPECT_EQ(failure.error().code(), Code::protocol) << failure.error().to_string();
    EXPECT_EQ(failure.error().peer(), 1);
    EXPECT_THAT(failure.error().message(), HasSubstr("rank 1 (host "));
  }
}

TEST(Overlay, MalformedBlocksEndTheExchange) {
  std::mt19937 random(5);
  for (int round = 0; round < 100; ++round) {
    Impostor impostor;
    Writer frame;
    frame.value(std::uint8_t{1})
        .value(std::uint32_t{2})
        .value(std::uint8_t{0})
        .value(std::uint32_t{1})
        .value(static_cast<std::uint32_t>(random() | 64));
    std::vector<std::byte> rest(random() % 64);
    for (auto& b : rest) b = static_cast<std::byte>(random());
    frame.raw(rest);
    impostor.send(frame.take());
    auto all = impostor.victim().all_gather({});
    ASSERT_FALSE(all);
    EXPECT_EQ(all.error().code(), Code::protocol);
  }
}

TEST(Overlay, RanksAtDifferentExchangesAreToldSo) {
  Impostor impostor;
  impostor.send(
      Writer().value(std::uint8_t{1}).value(std::uint32_t{9}).value(std::uint8_t{0}).value(std::uint32_t{1}).bytes({}).take());
  auto all = impostor.victim().all_gather({});
  ASSERT_FALSE(all);
  EXPECT_EQ(all.error().code(), Code::mismatch);
  EXPECT_THAT(all.error().message(), HasSubstr("exchange 9"));
}

// As when the ranks of a large job all wait for one that has not looked for long, and most notes come over one link.
TEST(Overlay, MoreNotesThanAnybodyReadAreNoFailure) {
  constexpr std::uint32_t kNotes = 20000;
  Impostor impostor;
  for (std::uint32_t i = 1; i <= kNotes; ++i)
    impostor.queue(Writer().value(std::uint8_t{4}).value(Rank{0}).value(Rank{1}).bytes(Writer().value(i).take()).take());
  const auto last = Writer().value(kNotes).take();
  const TimePoint deadline = Clock::now() + std::chrono::seconds(30);
  for (bool sent = false; !sent || impostor.victim().notes()[1] != last;) {
    sent = impostor.flush();
    const auto well = impostor.victim().poll_failures();
    ASSERT_TRUE(well) << well.error().to_string();
    ASSERT_LT(Clock::now(), deadline);
  }
}

TEST(Overlay, AnEndlessFrameIsRefusedBeforeItIsStored) {
  Impostor impostor;
  // The length alone, without a body; sent as the body of a frame it would be data, so one byte shorter: a raw announcement.
  std::vector<std::byte> frame(4, std::byte{0xff});
  frame[0] = std::byte{2};
  impostor.send(frame);
  auto failure = await_failure(impostor.victim());
  ASSERT_FALSE(failure);
  EXPECT_EQ(failure.error().code(), Code::protocol);
}

}  // namespace
}  // namespace tutti
