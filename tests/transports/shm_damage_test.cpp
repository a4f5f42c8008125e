// A peer whose shared memory holds nonsense: an error that names it, never a crash or a wild read.
#include <gmock/gmock.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "transports/shm/lane.h"

namespace tutti::shm {
namespace {

constexpr Rank kPeer = 5;
constexpr std::size_t kCells = 16;
constexpr std::size_t kCellBytes = Cells::kLeastMemory / kCells;
constexpr std::size_t kLong = 24 << 10;

// Both lanes of a connection in memory of this process; the peer's is written by the test.
class ShmDamage : public testing::Test {
 protected:
  void SetUp() override {
    arena_ = Arena::create(std::size_t{1} << 20).value_or_throw();
    peer_arena_ = PeerArena::map(Fd(dup(arena_->memory_fd())), Fd(dup(arena_->bell_fd())), true, kPeer).value_or_throw();
    const Region mine = arena_->allocate_lane().value_or_throw(), theirs = arena_->allocate_lane().value_or_throw();
    cell_memory_ = CellMemory::create(Cells::kLeastMemory).value_or_throw();
    cells_.open(cell_memory_.mapping.bytes(), true);
    ASSERT_EQ(cells_.cell_bytes(), kCellBytes);
    theirs_ = arena_->lane(theirs.offset);
    lanes_ = {.mine = arena_->lane(mine.offset),
              .theirs = theirs_,
              .taken = &taken_,
              .cells = &cells_,
              .handover = &handover_,
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

  Result<bool> send(std::size_t size) {
    memory_.assign(size, std::byte{});
    Outgoing message{.signature = signature_, .data = memory_};
    bool moved = false;
    return outbox_.advance(message, moved);
  }

  static void expect_protocol(const Result<bool>& result) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), Code::protocol) << result.error().to_string();
    EXPECT_EQ(result.error().peer(), kPeer);
  }

  std::unique_ptr<Arena> arena_;
  std::shared_ptr<PeerArena> peer_arena_;
  CellMemory cell_memory_;
  Lane* theirs_ = nullptr;
  Taken taken_;
  Cells cells_;
  Handover handover_;
  Lanes lanes_;
  Inbox inbox_;
  Outbox outbox_;
  Signature signature_{.count = 3, .sequence = 9};
  std::vector<std::byte> memory_;
};

TEST_F(ShmDamage, AMessageLargerThanItsSlot) { expect_protocol(receive(make_head(0, Kind::in_slot, kInline + 1), kInline + 1)); }
TEST_F(ShmDamage, AMessageLargerThanItsCell) {
  expect_protocol(receive(make_head(0, Kind::in_cell, 0), kCellBytes + 1, {.size = kCellBytes + 1}));
}
TEST_F(ShmDamage, ACellThatIsNone) {
  expect_protocol(receive(make_head(0, Kind::in_cell, 0), 5000, {.size = 5000, .cell = kCells}));
}
TEST_F(ShmDamage, AnUnknownKind) { expect_protocol(receive(make_head(0, static_cast<Kind>(77), 8), 8)); }
TEST_F(ShmDamage, NoKindAtAll) { expect_protocol(receive(make_head(0, Kind{}, 0), 0)); }

TEST_F(ShmDamage, APieceInACellThatIsNone) {
  theirs_->pieces[0].store(make_entry(0, kCells));
  expect_protocol(receive(make_head(0, Kind::streamed, 0), kLong, {.size = kLong}));
}

TEST_F(ShmDamage, ACellReturnedThatIsNone) {
  while (!cells_.empty()) cells_.take_newest();
  theirs_->returned[0].store(make_entry(0, kCells));
  expect_protocol(send(kLong));
}

TEST_F(ShmDamage, MoreCellsReturnedThanThereAre) {
  while (!cells_.empty()) cells_.take_newest();
  for (std::uint64_t n = 0; n <= kCells; ++n) theirs_->returned[n].store(make_entry(n, 1));
  expect_protocol(send(kLong));
}

TEST_F(ShmDamage, ACellForNothing) { expect_protocol(receive(make_head(0, Kind::in_cell, 0), 0, {.size = 0, .cell = 1})); }

TEST_F(ShmDamage, MoreCellsTakenThanSent) {
  theirs_->cells_taken.store(1000);
  expect_protocol(send(kLong));
}

TEST_F(ShmDamage, WhatCannotBeReadAtItsAddressIsAskedForInCells) {
  const Result<bool> result = receive(make_head(0, Kind::direct, 0), kLong, {.size = kLong, .address = 16});
  ASSERT_TRUE(result);
  EXPECT_FALSE(*result);
  EXPECT_EQ(lanes_.mine->answer.load(), make_answer(0, Verdict::stream));
}

TEST_F(ShmDamage, AMessagePlacedWhereNobodyAsked) {
  expect_protocol(receive(make_head(0, Kind::placed, 0), kLong, {.size = kLong}));
}

TEST_F(ShmDamage, MemoryOfASenderThatHasGivenUpIsNotDelivered) {
  const std::vector<std::byte> reused(kLong);
  lanes_.process = getpid();  // the sender's memory is this process's
  inbox_.open(lanes_);
  theirs_->closed.store(1);
  const auto address = reinterpret_cast<std::uint64_t>(reused.data());
  const Result<bool> result = receive(make_head(0, Kind::direct, 0), reused.size(), {.size = reused.size(), .address = address});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::peer_lost) << result.error().to_string();
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

// Random heads, counters and announcements: whatever comes out, it comes out in order, and nothing outside is touched
// (sanitizers look).
TEST_F(ShmDamage, RandomMemoryIsSurvived) {
  std::mt19937_64 random(1);
  int finished = 0, refused = 0;
  for (int i = 0; i < 20000; ++i) {
    taken_ = {};
    cells_ = {};
    cells_.open(cell_memory_.mapping.bytes(), true);
    inbox_ = {};
    inbox_.open(lanes_);
    const std::size_t size = random() % 3 == 0 ? random() % 64 : random() % (4 * kLong);
    for (std::uint64_t n = 0; n < theirs_->pieces.size(); ++n)
      theirs_->pieces[n].store(random() % 64 == 0 ? random() : make_entry(n, static_cast<std::uint32_t>(random() % kCells)));
    const std::uint64_t kind = random() % 2 == 0 ? random() % 256 : 1 + random() % 5;
    const std::uint64_t head = make_head(0, static_cast<Kind>(kind), random() % 2 == 0 ? size : random() % (1u << 24));
    const auto end = [&] {
      return static_cast<std::uint32_t>(random() % 2 == 0 ? 0 : random() % 4 == 0 ? random() : random() % 8 * 64);
    };
    const NamedPart memory{
        .memory = {.segment = random() % 3, .offset = random() % 2 == 0 ? random() % kLong : random(), .handed = random() % 3},
        .head = end(),
        .tail = end()};
    std::memcpy(theirs_->slots[0].payload.data() + sizeof(Announcement), &memory, sizeof memory);
    const Result<bool> result =
        receive(head, size, {.size = random() % 2 == 0 ? size : random(), .address = random(), .cell = random() % (kCells + 1)});
    (result && *result ? finished : refused) += 1;
  }
  EXPECT_GT(finished, 1000);
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace tutti::shm
