// A peer whose shared memory holds nonsense: an error that names it, never a crash or a wild read.
#include <gmock/gmock.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "transports/shm/lane.h"

namespace tutti::shm {
namespace {

constexpr Rank kPeer = 5;
constexpr std::size_t kRing = 8192;

// Both lanes of a connection in memory of this process; the peer's is written by the test.
class ShmDamage : public testing::Test {
 protected:
  void SetUp() override {
    arena_ = Arena::create(std::size_t{1} << 20).value_or_throw();
    peer_arena_ = PeerArena::map(Fd(dup(arena_->memory_fd())), Fd(dup(arena_->bell_fd())), true, kPeer).value_or_throw();
    const Region mine = arena_->allocate_lane(kRing).value_or_throw(), theirs = arena_->allocate_lane(kRing).value_or_throw();
    ASSERT_EQ(mine.size, kLaneHeader + kRing);
    theirs_ = arena_->lane(theirs.offset);
    lanes_ = {.mine = arena_->lane(mine.offset),
              .theirs = theirs_,
              .my_ring = reinterpret_cast<std::byte*>(arena_->lane(mine.offset)) + kLaneHeader,
              .their_ring = reinterpret_cast<const std::byte*>(theirs_) + kLaneHeader,
              .my_ring_bytes = kRing,
              .their_ring_bytes = kRing,
              .taken = &taken_,
              .peer_arena = peer_arena_.get(),
              .peer = kPeer};
    inbox_.open(lanes_);
    outbox_.open(lanes_);
  }

  // What the receive of `size` bytes says when the peer's first slot holds this head and announcement.
  Result<bool> receive(std::uint64_t head, std::size_t size, const Announcement& announcement = {}) {
    theirs_->slots[0].signature = signature_;
    std::memcpy(theirs_->slots[0].payload.data(), &announcement, sizeof announcement);
    theirs_->slots[0].head.store(head);
    memory_.assign(size, std::byte{});
    Incoming message{.expected = signature_, .sink = {.data = memory_.data(), .size = size}};
    if (!inbox_.has_next()) return false;
    if (inbox_.take_small(message)) return true;
    bool moved = false;
    return inbox_.advance(message, moved);
  }

  static void expect_protocol(const Result<bool>& result) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), Code::protocol) << result.error().to_string();
    EXPECT_EQ(result.error().peer(), kPeer);
  }

  std::unique_ptr<Arena> arena_;
  std::shared_ptr<PeerArena> peer_arena_;
  LaneHeader* theirs_ = nullptr;
  Taken taken_;
  Lanes lanes_;
  Inbox inbox_;
  Outbox outbox_;
  Signature signature_{.count = 3, .sequence = 9};
  std::vector<std::byte> memory_;
};

TEST_F(ShmDamage, AMessageLargerThanItsSlot) { expect_protocol(receive(make_head(0, Kind::in_slot, kInline + 1), kInline + 1)); }
TEST_F(ShmDamage, AMessageLargerThanTheRing) { expect_protocol(receive(make_head(0, Kind::far, kRing + 1), kRing + 1)); }
TEST_F(ShmDamage, AnUnknownKind) { expect_protocol(receive(make_head(0, static_cast<Kind>(77), 8), 8)); }
TEST_F(ShmDamage, NoKindAtAll) { expect_protocol(receive(make_head(0, Kind{}, 0), 0)); }

TEST_F(ShmDamage, MoreBytesPublishedThanTheRingHolds) {
  theirs_->published.store(kRing + 64);
  expect_protocol(receive(make_head(0, Kind::streamed, 0), 3 * kRing, {.size = 3 * kRing}));
}

TEST_F(ShmDamage, AnAddressThatCannotBeReadIsAskedForThroughTheRing) {
  const Result<bool> result = receive(make_head(0, Kind::direct, 0), 3 * kRing, {.size = 3 * kRing, .address = 16});
  ASSERT_TRUE(result);
  EXPECT_FALSE(*result);
  EXPECT_EQ(lanes_.mine->answer.load(), make_answer(0, Verdict::stream));
}

TEST_F(ShmDamage, MemoryOfASenderThatHasGivenUpIsNotDelivered) {
  const std::vector<std::byte> reused(3 * kRing);
  lanes_.process = getpid();  // the sender's memory is this process's
  inbox_.open(lanes_);
  theirs_->closed.store(1);
  const auto address = reinterpret_cast<std::uint64_t>(reused.data());
  const Result<bool> result = receive(make_head(0, Kind::direct, 0), reused.size(), {.size = reused.size(), .address = address});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::peer_lost) << result.error().to_string();
}

TEST_F(ShmDamage, AMessageLargerThanTheNearRing) {
  expect_protocol(receive(make_head(0, Kind::near, kNearBytes + 1), kNearBytes + 1));
}

TEST_F(ShmDamage, AMessageThatSaysThatMoreWereTakenThanSent) {
  theirs_->slots[0].taken = 3;
  ASSERT_TRUE(receive(make_head(0, Kind::in_slot, 8), 8));
  std::uint64_t number = 1;
  Outgoing message{.signature = signature_, .data = std::as_bytes(std::span(&number, 1))};
  bool moved = false;
  ASSERT_FALSE(outbox_.send_small(signature_, message.data));
  expect_protocol(outbox_.advance(message, moved));
}

TEST_F(ShmDamage, MoreMessagesTakenThanSent) {
  std::uint64_t number = 1;
  const auto bytes = std::as_bytes(std::span(&number, 1));
  for (std::uint32_t i = 0; i < kSlots; ++i) ASSERT_TRUE(outbox_.send_small(signature_, bytes));
  ASSERT_FALSE(outbox_.send_small(signature_, bytes));
  theirs_->slots_taken.store(kSlots + 1);
  Outgoing message{.signature = signature_, .data = bytes};
  bool moved = false;
  expect_protocol(outbox_.advance(message, moved));
}

TEST_F(ShmDamage, MoreBytesTakenThanSent) {
  std::vector<std::byte> bytes(4 * kRing);
  Outgoing message{.signature = signature_, .data = bytes};
  bool moved = false;
  theirs_->bytes_taken.store(std::uint64_t{1} << 40);
  expect_protocol(outbox_.advance(message, moved));
}

// Random heads, counters and announcements: whatever comes out, it comes out in order, and nothing outside is touched
// (sanitizers look).
TEST_F(ShmDamage, RandomMemoryIsSurvived) {
  std::mt19937_64 random(1);
  int finished = 0, refused = 0;
  for (int i = 0; i < 20000; ++i) {
    taken_ = {};
    Inbox inbox;
    inbox.open(lanes_);
    inbox_ = inbox;
    const std::size_t size = random() % 3 == 0 ? random() % 64 : random() % (4 * kRing);
    theirs_->published.store(random() % 2 == 0 ? random() : random() % (2 * kRing));
    const std::uint64_t kind = random() % 2 == 0 ? random() % 256 : 1 + random() % 5;
    const std::uint64_t head = make_head(0, static_cast<Kind>(kind), random() % 2 == 0 ? size : random() % (1u << 24));
    const Result<bool> result = receive(head, size, {.size = random() % 2 == 0 ? size : random(), .address = random()});
    (result && *result ? finished : refused) += 1;
  }
  EXPECT_GT(finished, 100);
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace tutti::shm
