// Sleeping: whoever sleeps on a WaitSet is woken by what it waits for.
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>

#include "core/clock.h"
#include "core/futex.h"
#include "tests/transports/conformance/world.h"

namespace tutti::conformance {
namespace {

// A sleep that lasts this long was not ended by what it waited for.
constexpr double kLostSeconds = 30;

// Sleeps as the engine does. False: the wake-up was lost.
bool sleep_on(const WaitSet& set) {
  const TimePoint start = Clock::now();
  auto fds = set.fds;
  if (fds.empty()) {
    futex_wait_any(set.words, from_seconds(kLostSeconds));
  } else if (set.words.empty()) {
    ::poll(fds.data(), fds.size(), static_cast<int>(kLostSeconds * 1000));
  } else {
    // Two kinds at once: slices, as nothing waits for both.
    const auto unchanged = [](const FutexWord& w) { return w.word->load() == w.value; };
    while (std::ranges::all_of(set.words, unchanged) && ::poll(fds.data(), fds.size(), 0) == 0 &&
           seconds_since(start) < kLostSeconds)
      futex_wait_any(set.words, std::chrono::milliseconds(1));
  }
  return seconds_since(start) < kLostSeconds;
}

// Finishes what was posted, sleeping whenever nothing moves.
void finish_asleep(Member& me, std::initializer_list<Link*> links, std::uint64_t& sleeps) {
  const auto poll_all = [&] {
    bool moved = false;
    for (Link* link : links) {
      const Result<bool> polled = link->poll();
      if (!polled) throw RankFailed(polled.error().to_string());
      moved = moved || *polled;
    }
    return moved;
  };
  const auto idle = [&] { return std::ranges::all_of(links, [](const Link* link) { return link->idle(); }); };
  while (!idle()) {
    if (poll_all()) continue;
    me.moved();
    WaitSet set;
    for (Link* link : links) link->endpoint().begin_wait(set);
    me.check(!set.words.empty() || !set.fds.empty(), "begin_wait names nothing to wait for");
    const bool moved = poll_all();
    bool woken = true;
    if (!moved && !idle()) {
      ++sleeps;
      woken = sleep_on(set);
    }
    for (Link* link : links) link->endpoint().end_wait();
    me.check(woken, fmt::format("a wake-up was lost, in sleep {}", sleeps));
  }
}

TEST_P(TransportConformance, SleepersAreWoken) {
  run(GetParam(), 2, [](Member& me) {
    Link link = me.connect(1 - me.rank());
    std::uint64_t mine = 0, theirs = 0, sleeps = 0;
    me.step("taking turns, sleeping in between");
    for (std::uint32_t k = 0; k < 3000; ++k) {
      mine = k;
      if (static_cast<Rank>(k % 2) == me.rank()) {
        link.send(signature(k), std::as_bytes(std::span(&mine, 1)));
      } else {
        link.recv(signature(k), {.data = reinterpret_cast<std::byte*>(&theirs), .size = 8});
      }
      finish_asleep(me, {&link}, sleeps);
      if (static_cast<Rank>(k % 2) != me.rank()) me.check(theirs == k, "wrong number");
    }
  });
}

// Senders that wait for room are woken as well, and so are ranks with several streams.
TEST_P(TransportConformance, SleepersOnSeveralStreamsAreWoken) {
  run(GetParam(), 2, [](Member& me) {
    Link a = me.connect(1 - me.rank(), 1), b = me.connect(1 - me.rank(), 2);
    std::uint64_t sleeps = 0;
    for (std::uint32_t k = 0; k < 12; ++k) {
      const std::size_t size = k % 3 == 0 ? std::size_t{5} << 20 : 8000 * k;
      me.step(fmt::format("exchanging {} bytes on two streams, asleep", size));
      const auto mine = pattern(size, k);
      Buffer first(size), second(size);
      a.send(signature(k), mine);
      b.send(signature(k), mine);
      a.recv(signature(k), first);
      b.recv(signature(k), second);
      finish_asleep(me, {&a, &b}, sleeps);
      me.check(first == mine && second == mine, "wrong bytes");
    }
  });
}

// One way only: the sender has nothing to receive and must be woken by the room that the receiver makes.
TEST_P(TransportConformance, SendersAsleepAreWokenByRoom) {
  run(GetParam(), 2, [](Member& me) {
    Link link = me.connect(1 - me.rank());
    std::uint64_t sleeps = 0;
    constexpr std::uint32_t kMessages = 3000;
    Buffer memory(700 * kMessages);
    me.step("one way, asleep");
    for (std::uint32_t k = 0; k < kMessages; ++k) {
      const std::size_t size = k % 2 == 0 ? 8 : 700;
      if (me.rank() == 0) {
        link.send(signature(k), ConstBytes(memory).subspan(700 * k, size));
        if (link.sends() > 10) finish_asleep(me, {&link}, sleeps);
      } else {
        link.recv(signature(k), {.data = memory.data() + 700 * k, .size = size});
        if (link.recvs() > 10) finish_asleep(me, {&link}, sleeps);
      }
    }
    finish_asleep(me, {&link}, sleeps);
    me.check(link.idle(), "not finished");
    me.barrier();
  });
}

}  // namespace
}  // namespace tutti::conformance
