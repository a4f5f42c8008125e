// Who owns which cell: nobody is left without one for long, whatever is sent, and which cell comes next.
#include <gmock/gmock.h>

#include <deque>
#include <random>
#include <set>

#include "transports/shm/cells.h"

namespace tutti::shm {
namespace {

// Both sides of a connection, and what is under way between them.
struct Pair {
  struct Side {
    Cells cells;
    std::deque<std::uint32_t> sent, returned;  // that the other side has not taken, or collected, yet
  };
  std::vector<std::byte> memory;
  std::array<Side, 2> sides;

  explicit Pair(std::size_t bytes) : memory(bytes) {
    for (int i = 0; i < 2; ++i) side(i).cells.open(memory, i == 0);
  }
  Side& side(int i) { return sides[static_cast<std::size_t>(i)]; }

  bool send(int i, bool newest = true) {
    Side& me = side(i);
    if (me.sent.size() >= me.cells.most_sent()) return false;
    if (me.cells.lacks()) collect(i);
    if (me.cells.empty()) return false;
    me.sent.push_back(newest ? me.cells.take_newest() : me.cells.take_oldest());
    return true;
  }
  void collect(int i) {
    for (auto& back = side(1 - i).returned; !back.empty(); back.pop_front()) EXPECT_TRUE(side(i).cells.give(back.front()));
  }
  bool take(int i) {
    Side &me = side(i), &other = side(1 - i);
    if (other.sent.empty()) return false;
    EXPECT_TRUE(me.cells.give(other.sent.front()));
    other.sent.pop_front();
    collect(i);
    me.cells.give_back_surplus([&](std::uint32_t surplus) { me.returned.push_back(surplus); });
    return true;
  }
  // Every cell is in one place.
  void expect_all_there() {
    std::multiset<std::uint32_t> all;
    for (Side& s : sides) {
      all.insert(s.sent.begin(), s.sent.end());
      all.insert(s.returned.begin(), s.returned.end());
      for (Cells copy = s.cells; !copy.empty();) all.insert(copy.take_newest());
    }
    const std::size_t number = memory.size() / side(0).cells.cell_bytes();
    EXPECT_EQ(all.size(), number);
    EXPECT_EQ(std::set(all.begin(), all.end()).size(), number);
  }
};

constexpr std::size_t kSizes[] = {Cells::kLeastMemory, 64u << 10, 256u << 10, 1u << 20, 4u << 20, Cells::kMostMemory};

TEST(ShmCells, WhoOnlySendsIsNotLeftWithoutCellsWhileTheOtherSideHasSentAllItMay) {
  for (const std::size_t bytes : kSizes)
    for (const bool newest : {false, true}) {
      Pair pair(bytes);
      while (pair.send(1, newest)) {
      }
      for (int n = 0; n < 5000; ++n) {
        ASSERT_TRUE(pair.send(0, newest)) << bytes << " bytes, newest first: " << newest << ", message " << n;
        ASSERT_TRUE(pair.take(1));
      }
      pair.expect_all_there();
    }
}

// A while one side sends, or both, then for a while another.
TEST(ShmCells, RandomTrafficNeverStops) {
  std::mt19937 random(7);
  const auto some = [&](int most) { return static_cast<int>(random() % static_cast<unsigned>(most)); };
  for (const std::size_t bytes : kSizes) {
    Pair pair(bytes);
    for (int phase = 0; phase < 2000; ++phase) {
      const bool newest = some(2) == 0;
      std::array<int, 2> to_send{some(3) * some(40), some(3) * some(40)};
      while (to_send[0] > 0 || to_send[1] > 0 || !pair.side(0).sent.empty() || !pair.side(1).sent.empty()) {
        const int i = some(2);
        int& left = to_send[static_cast<std::size_t>(i)];
        if (some(2) == 0) {
          if (left > 0 && pair.send(i, newest)) --left;
        } else {
          pair.take(i);
        }
        if (!pair.side(0).sent.empty() || !pair.side(1).sent.empty()) continue;
        for (int k : {0, 1})  // nothing is under way: both must be able to send
          if (to_send[static_cast<std::size_t>(k)] > 0) {
            ASSERT_TRUE(pair.send(k, newest)) << bytes << " bytes, phase " << phase;
            --to_send[static_cast<std::size_t>(k)];
          }
      }
    }
    pair.expect_all_there();
  }
}

TEST(ShmCells, TheNewestOrTheOldestIsFilledNext) {
  Pair pair(4u << 20);
  ASSERT_TRUE(pair.send(0));
  const std::uint32_t first = pair.side(0).sent.front();
  ASSERT_TRUE(pair.take(1));
  Cells cells = pair.side(1).cells;
  EXPECT_NE(cells.take_oldest(), first);
  EXPECT_EQ(cells.take_newest(), first);
}

// A stream in one direction goes round in a few cells, not in all.
TEST(ShmCells, AStreamStaysInFewCells) {
  Pair pair(4u << 20);
  std::set<std::uint32_t> used;
  for (int n = 0; n < 1000; ++n) {
    ASSERT_TRUE(pair.send(0));
    if (n >= 200) used.insert(pair.side(0).sent.front());
    ASSERT_TRUE(pair.take(1));
  }
  EXPECT_LE(used.size(), 20U);  // of 128
}

}  // namespace
}  // namespace tutti::shm
