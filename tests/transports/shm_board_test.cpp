// Boards of several ranks in one process: what is published is read by all, in order, and stays until all have taken it.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "transports/shm/board.h"

namespace tutti::shm {
namespace {

using testing::HasSubstr;
using Message = std::vector<std::byte>;

Signature signature(std::uint32_t sequence) { return {.sequence = sequence}; }

// Differs from place to place, and from one publication of a member for another to all others.
Message pattern(std::size_t size, Rank from, Rank to, std::uint32_t number) {
  std::mt19937 random(number * 1000 + static_cast<std::uint32_t>(from) * 32 + static_cast<std::uint32_t>(to));
  Message message(size);
  for (std::byte& b : message) b = static_cast<std::byte>(random());
  return message;
}

// Every member sees the boards of all others, and has a lane and a socket to each as connections have.
class Boards {
 public:
  Boards(Rank ranks, std::size_t stage) {
    for (Rank r = 0; r < ranks; ++r) {
      arenas_.push_back(Arena::create(std::size_t{1} << 20).value_or_throw());
      const Region region = arenas_.back()->allocate(sizeof(BoardMemory) + stage).value_or_throw();
      boards_.push_back(std::make_unique<ShmBoard>(*arenas_.back(), region, r, ranks));
      lanes_.push_back(arenas_.back()->allocate_lane().value_or_throw());
    }
    for (Rank a = 0; a < ranks; ++a)
      for (Rank b = 0; b < a; ++b) {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error("no sockets");
        connect(a, b, Fd(ends[0])).value_or_throw();
        connect(b, a, Fd(ends[1])).value_or_throw();
      }
  }

  ShmBoard& operator[](Rank r) { return *boards_[static_cast<std::size_t>(r)]; }
  Arena& arena(Rank r) { return *arenas_[static_cast<std::size_t>(r)]; }
  Lane& lane(Rank r) { return *arena(r).lane(lanes_[static_cast<std::size_t>(r)].offset); }
  BoardMemory& memory(Rank r) { return *reinterpret_cast<BoardMemory*>(arena(r).at((*this)[r].region().offset)); }

 private:
  Status connect(Rank me, Rank other, Fd socket) {
    const Arena& theirs = arena(other);
    auto peer = PeerArena::map(Fd(dup(theirs.memory_fd())), Fd(dup(theirs.bell_fd())), true, other).value_or_throw();
    sockets_.push_back(std::make_unique<Fd>(std::move(socket)));
    return (*this)[me].join(other, std::move(peer), (*this)[other].region().offset, lane(other), *sockets_.back());
  }

  std::vector<std::unique_ptr<Arena>> arenas_;
  std::vector<std::unique_ptr<ShmBoard>> boards_;
  std::vector<Region> lanes_;
  std::vector<std::unique_ptr<Fd>> sockets_;
};

constexpr std::size_t kStage = std::size_t{64} << 10;

bool publish(ShmBoard& board, std::uint32_t number, std::span<const Message> parts) {
  const std::vector<ConstBytes> views(parts.begin(), parts.end());
  return board.publish(signature(number), views).value_or_throw();
}
bool publish(ShmBoard& board, std::uint32_t number, const Message& message) { return publish(board, number, {&message, 1}); }

// What a member finds there, or nothing.
std::optional<Message> look(ShmBoard& board, Rank from, std::uint32_t number, std::size_t size) {
  const std::byte* part = board.look(from, signature(number), size).value_or_throw();
  if (part == nullptr) return std::nullopt;
  return Message(part, part + size);
}

TEST(ShmBoard, IsReadyWhenAllMembersAreSeen) {
  auto arena = Arena::create(std::size_t{1} << 20).value_or_throw();
  const ShmBoard alone(*arena, arena->allocate(sizeof(BoardMemory) + kStage).value_or_throw(), 0, 3);
  EXPECT_FALSE(alone.ready());
  Boards boards(3, kStage);
  for (Rank r = 0; r < 3; ++r) EXPECT_TRUE(boards[r].ready());
  boards[0].leave(2);
  EXPECT_FALSE(boards[0].ready());
}

TEST(ShmBoard, ShowsAllMembersTheSameOrEachItsPart) {
  constexpr Rank kRanks = 5;
  Boards boards(kRanks, kStage);
  std::uint32_t number = 0;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{63}, kInline, kInline + 1, std::size_t{5000}}) {
    const Message same = pattern(size, 0, 0, ++number);
    ASSERT_TRUE(publish(boards[0], number, same));
    for (Rank r = 1; r < kRanks; ++r) {
      EXPECT_EQ(look(boards[r], 0, number, size), same);
      boards[r].take(0);
    }
    std::vector<Message> parts;
    for (Rank r = 0; r < kRanks; ++r) parts.push_back(pattern(size - std::min<std::size_t>(size, r % 2), 0, r, number));
    ASSERT_TRUE(publish(boards[0], ++number, parts));
    for (Rank r = 1; r < kRanks; ++r) {
      const Message& mine = parts[static_cast<std::size_t>(r)];
      EXPECT_EQ(look(boards[r], 0, number, mine.size()), mine) << "rank " << r << ", " << size;
      boards[r].take(0);
      EXPECT_EQ(look(boards[r], 0, number + 1, 0), std::nullopt);
    }
  }
}

TEST(ShmBoard, HoldsTheMostTwiceAndWaitsForTheSlowest) {
  Boards boards(3, kStage);
  const std::size_t most = boards[0].most_bytes();
  const Message large = pattern(most, 0, 0, 0);
  ASSERT_TRUE(publish(boards[0], 1, large));
  ASSERT_TRUE(publish(boards[0], 2, large));
  EXPECT_FALSE(publish(boards[0], 3, large));
  boards[1].take(0);
  boards[1].take(0);
  EXPECT_FALSE(publish(boards[0], 3, large)) << "rank 2 has not taken anything";
  boards[2].take(0);
  ASSERT_TRUE(publish(boards[0], 3, large));
  EXPECT_EQ(look(boards[2], 0, 2, most), large);
}

TEST(ShmBoard, SmallOnesWaitForASlot) {
  Boards boards(3, kStage);
  std::uint32_t published = 0;
  while (publish(boards[0], published + 1, pattern(8, 0, 0, published + 1))) ++published;
  EXPECT_EQ(published, kSlots);
  for (std::uint32_t n = 1; n <= published; ++n) {
    EXPECT_EQ(look(boards[1], 0, n, 8), pattern(8, 0, 0, n));
    boards[1].take(0);
  }
  EXPECT_FALSE(publish(boards[0], published + 1, pattern(8, 0, 0, 0)));
  boards[2].take(0);
  EXPECT_TRUE(publish(boards[0], published + 1, pattern(8, 0, 0, 0)));
}

// Members publish and take in random order and sizes; each looks again at what it has not taken yet.
TEST(ShmBoard, NothingChangesBeforeItIsTaken) {
  constexpr Rank kRanks = 4;
  Boards boards(kRanks, std::size_t{8} << 10);
  std::mt19937 random(7);
  std::array<std::uint32_t, kRanks> published{};
  std::array<std::array<std::uint32_t, kRanks>, kRanks> taken{};
  std::array<std::vector<std::size_t>, kRanks> sizes;
  for (int step = 0; step < 200000; ++step) {
    const auto me = static_cast<Rank>(random() % kRanks), other = static_cast<Rank>(random() % kRanks);
    const auto m = static_cast<std::size_t>(me), o = static_cast<std::size_t>(other);
    if (me == other) {
      const bool same = random() % 2 == 0;
      const std::size_t most = boards[me].most_bytes() / (same ? 1 : kRanks) / kLine * kLine;
      const std::size_t size = random() % 4 == 0 ? random() % (most + 1) : random() % 200;
      const std::uint32_t number = published[m] + 1;
      std::vector<Message> parts;
      for (Rank r = 0; r < (same ? 1 : kRanks); ++r) parts.push_back(pattern(size, me, same ? 0 : r, number));
      if (!publish(boards[me], number, parts)) continue;
      ++published[m];
      sizes[m].push_back(same ? size : size + 1000000);
      continue;
    }
    const std::uint32_t number = taken[m][o] + 1;
    if (number > published[o]) {
      ASSERT_EQ(look(boards[me], other, number, 0), std::nullopt);
      continue;
    }
    const std::size_t noted = sizes[o][number - 1], size = noted % 1000000;
    ASSERT_EQ(look(boards[me], other, number, size), pattern(size, other, noted == size ? 0 : me, number));
    if (random() % 2 == 0) {
      boards[me].take(other);
      ++taken[m][o];
    }
  }
  for (const std::uint32_t n : published) EXPECT_GT(n, 1000U);
}

TEST(ShmBoard, WhoDoesNotNeedItMayTakeItBeforeItIsThere) {
  Boards boards(3, kStage);
  for (std::uint32_t n = 1; n <= kSlots + 1; ++n) boards[2].take(0);
  for (std::uint32_t n = 1; n <= kSlots; ++n) ASSERT_TRUE(publish(boards[0], n, pattern(8, 0, 0, n)));
  EXPECT_FALSE(publish(boards[0], kSlots + 1, pattern(8, 0, 0, 0))) << "rank 1 has not taken anything";
  EXPECT_EQ(look(boards[1], 0, 1, 8), pattern(8, 0, 0, 1));
  boards[1].take(0);
  ASSERT_TRUE(publish(boards[0], kSlots + 1, pattern(8, 0, 0, 0)));
  ASSERT_FALSE(publish(boards[0], kSlots + 2, pattern(8, 0, 0, 0)));
  EXPECT_EQ(look(boards[2], 0, kSlots + 2, 8), std::nullopt);
}

TEST(ShmBoard, SleepersAreWokenByWhatIsPublishedAndTaken) {
  Boards boards(3, kStage);
  const auto rung = [&](Rank r) { return boards.arena(r).bell().word.load(); };
  for (const Rank r : {0, 1}) boards.arena(r).header().sleepers.fetch_add(1);
  ASSERT_TRUE(publish(boards[0], 1, pattern(8, 0, 0, 1)));
  EXPECT_EQ(rung(0), 0U);
  EXPECT_EQ(rung(1), 1U);
  EXPECT_EQ(rung(2), 0U) << "it does not sleep";
  boards[2].take(0);
  EXPECT_EQ(rung(0), 1U);
  EXPECT_EQ(rung(1), 1U);
}

TEST(ShmBoard, AnotherCallIsAMismatchThatNamesBoth) {
  Boards boards(3, kStage);
  ASSERT_TRUE(publish(boards[0], 4, pattern(8, 0, 0, 0)));
  for (const auto& [sequence, size] : {std::pair{5U, 8U}, std::pair{4U, 9U}, std::pair{4U, 7U}}) {
    const auto seen = boards[1].look(0, signature(sequence), size);
    ASSERT_FALSE(seen);
    EXPECT_EQ(seen.error().code(), Code::mismatch);
    EXPECT_EQ(seen.error().peer(), 0);
  }
  ASSERT_TRUE(publish(boards[1], 4, pattern(5000, 0, 0, 0)));
  EXPECT_FALSE(boards[2].look(1, signature(4), 5001));
  EXPECT_FALSE(boards[2].look(1, signature(3), 5000));
}

TEST(ShmBoard, WhoHasLeftIsMissedWhenAllItPublishedIsTaken) {
  Boards boards(3, kStage);
  ASSERT_TRUE(publish(boards[0], 1, pattern(8, 0, 0, 1)));
  boards.lane(0).closed.store(1);
  EXPECT_TRUE(look(boards[1], 0, 1, 8));
  boards[1].take(0);
  EXPECT_TRUE(boards[1].look(0, signature(2), 8)) << "the system is asked seldom";
  boards[1].begin_wait();
  const auto seen = boards[1].look(0, signature(2), 8);
  boards[1].end_wait();
  ASSERT_FALSE(seen) << "but before every sleep";
  EXPECT_EQ(seen.error().code(), Code::peer_lost);
  EXPECT_THAT(seen.error().message(), HasSubstr("rank 0 closed its connection"));
}

// Whoever has taken all may go; whoever has not is missed.
TEST(ShmBoard, AReaderThatHasLeftIsMissedByWhoWaitsForRoom) {
  Boards boards(3, kStage);
  const Message large = pattern(boards[0].most_bytes(), 0, 0, 0);
  for (std::uint32_t n = 1; n <= 2; ++n) {
    ASSERT_TRUE(publish(boards[0], n, large));
    boards[1].take(0);
  }
  boards[0].begin_wait();
  boards.lane(1).closed.store(1);
  EXPECT_FALSE(publish(boards[0], 3, large)) << "rank 2 may still take it";
  boards.lane(2).closed.store(1);
  const std::vector<ConstBytes> parts{large};
  const auto published = boards[0].publish(signature(3), parts);
  boards[0].end_wait();
  ASSERT_FALSE(published);
  EXPECT_EQ(published.error().code(), Code::peer_lost);
  EXPECT_EQ(published.error().peer(), 2);
}

// Whatever a member writes on its board: an error, or bytes that lie on it.
TEST(ShmBoard, NonsenseIsNeverFollowed) {
  constexpr Rank kRanks = 3;
  std::mt19937_64 random(11);
  const auto number = [&]() -> std::uint64_t {
    switch (random() % 4) {
      case 0:
        return random() % 100;
      case 1:
        return random() % (2 * kStage);
      case 2:
        return UINT64_MAX - random() % (2 * kStage);
      default:
        return random();
    }
  };
  Boards boards(kRanks, kStage);
  BoardMemory& memory = boards.memory(0);
  const auto look_at = [&](Kind kind, std::size_t in_head, const Announcement& announcement, std::size_t size) {
    std::memcpy(memory.slots[0].payload.data(), &announcement, sizeof announcement);
    memory.slots[0].signature = signature(1);
    memory.slots[0].head.store(make_head(0, kind, in_head));
    return boards[2].look(0, signature(1), size);
  };
  const std::byte* const stage = look_at(Kind::staged, 0, {.size = kStage}, kStage).value_or_throw();
  int shown = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::size_t size = random() % (2 * kInline) + random() % 2 * (random() % kStage);
    const std::size_t in_head = random() % 2 == 0 ? size : random() % (std::size_t{1} << 24);
    const auto seen =
        look_at(static_cast<Kind>(random() % 8), in_head, {.size = number(), .address = number(), .cell = number()}, size);
    if (!seen) continue;
    ASSERT_NE(*seen, nullptr);
    const std::byte* const slot = stage - sizeof memory + offsetof(BoardMemory, slots);
    const bool in_slot = *seen >= slot && *seen + size <= slot + sizeof(Slot);
    ASSERT_TRUE(in_slot || (*seen >= stage && *seen + size <= stage + kStage && (*seen - stage) % kLine == 0));
    ++shown;
  }
  EXPECT_GT(shown, 100);
}

TEST(ShmBoard, ABoardThatLiesElsewhereIsRefused) {
  auto arena = Arena::create(std::size_t{1} << 20).value_or_throw(), other = Arena::create(std::size_t{1} << 20).value_or_throw();
  const Region region = other->allocate(sizeof(BoardMemory) + kStage).value_or_throw();
  const Lane& lane = *other->lane(other->allocate_lane().value_or_throw().offset);
  ShmBoard mine(*arena, arena->allocate(sizeof(BoardMemory) + kStage).value_or_throw(), 0, 3);
  const auto theirs = PeerArena::map(Fd(dup(other->memory_fd())), Fd(dup(other->bell_fd())), true, 1).value_or_throw();
  const Fd socket;
  for (const std::size_t offset :
       {std::size_t{0}, region.offset + 1, other->size() - kLine, other->size() + kLine, SIZE_MAX - 63})
    EXPECT_FALSE(mine.join(1, theirs, offset, lane, socket)) << offset;
  auto& stage = reinterpret_cast<BoardMemory*>(other->at(region.offset))->stage_bytes;
  for (const std::size_t bytes : {std::size_t{0}, kStage + 1, std::size_t{1} << 20, SIZE_MAX / kLine * kLine}) {
    stage = bytes;
    EXPECT_FALSE(mine.join(1, theirs, region.offset, lane, socket)) << bytes;
  }
  stage = kStage;
  EXPECT_TRUE(mine.join(1, theirs, region.offset, lane, socket));
}

}  // namespace
}  // namespace tutti::shm
