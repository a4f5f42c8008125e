#include "core/futex.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

namespace tutti {
namespace {

constexpr auto kLong = std::chrono::seconds(60);
constexpr auto kLost = std::chrono::seconds(30);  // a sleep that lasts longer was not ended by its word

// Whichever of the words somebody else changes.
TEST(Futex, AnyOfSeveralWordsWakesTheSleeper) {
  for (const std::size_t count : {1u, 2u, 5u})
    for (std::size_t rung = 0; rung < count; ++rung) {
      std::array<std::atomic<std::uint32_t>, 5> words{};
      WaitSet set;
      for (std::size_t i = 0; i < count; ++i) set.add(words[i]);
      const TimePoint start = Clock::now();
      std::thread waker([&] {
        words[rung].store(1);
        // The sleeper may not sleep yet, or have been woken already.
        while (words[rung].load() == 1) {
          futex_wake_all(words[rung]);
          std::this_thread::yield();
        }
      });
      while (words[rung].load() == 0) futex_wait_any(set.words, kLong);
      words[rung].store(2);
      waker.join();
      EXPECT_LT(Clock::now() - start, kLost) << rung << " of " << count;
    }
}

TEST(Futex, AWordThatHasChangedAlreadyIsNotSleptOn) {
  std::array<std::atomic<std::uint32_t>, 2> words{};
  WaitSet set;
  for (auto& word : words) set.add(word);
  words[1].store(1);
  const TimePoint start = Clock::now();
  futex_wait_any(set.words, kLong);
  EXPECT_LT(Clock::now() - start, kLost);
}

TEST(Futex, ASleepEndsWhenItsTimeIsUp) {
  std::array<std::atomic<std::uint32_t>, 2> words{};
  WaitSet set;
  for (auto& word : words) set.add(word);
  futex_wait_any(set.words, std::chrono::milliseconds(1));
}

TEST(WaitSet, AWordThatIsNamedTwiceKeepsItsFirstValue) {
  std::atomic<std::uint32_t> word{7};
  WaitSet set;
  set.add(word);
  word = 8;
  set.add(word);
  ASSERT_EQ(set.words.size(), 1u);
  EXPECT_EQ(set.words[0].value, 7u);
}

}  // namespace
}  // namespace tutti
