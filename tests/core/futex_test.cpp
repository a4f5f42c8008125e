#include "core/futex.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <array>
#include <cstddef>
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

// As in a sandbox that was made before the call was known. For the calling thread.
bool refuse_futex_waitv() {
  std::array<sock_filter, 4> program{
      {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex_waitv, 0, 1),
       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  const sock_fprog filter{.len = program.size(), .filter = program.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST(Futex, WhereNobodyMaySleepOnSeveralWordsTheFirstOneIsSleptOn) {
  bool refused = false;
  Duration slept{};
  std::thread([&] {
    refused = refuse_futex_waitv();
    std::array<std::atomic<std::uint32_t>, 2> words{};
    WaitSet set;
    for (auto& word : words) set.add(word);
    const TimePoint start = Clock::now();
    for (int i = 0; i < 20; ++i) futex_wait_any(set.words, kLong);
    slept = Clock::now() - start;
  }).join();
  if (!refused) GTEST_SKIP() << "this system permits no seccomp filter: a refused futex_waitv is NOT tested here";
  EXPECT_GE(slept, std::chrono::milliseconds(10));  // 20 moments of 1 ms, of which a signal may end some
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
