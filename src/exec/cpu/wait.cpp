#include "exec/cpu/wait.h"

#include <fmt/format.h>
#include <poll.h>
#include <sched.h>

#include <algorithm>
#include <set>

#include "core/futex.h"

namespace tutti {
namespace {

constexpr auto kSpinAlone = std::chrono::microseconds(20);  // then the core is offered to others
constexpr int kSpinShared = 20;                             // pauses before yielding where ranks share cores
constexpr auto kCheckEvery = std::chrono::milliseconds(1);
constexpr auto kLongestSleep = std::chrono::milliseconds(10);  // failures are looked for at least this often
constexpr auto kMixedSleep = std::chrono::milliseconds(1);     // no call sleeps on a futex and on sockets at once

timespec to_timespec(Duration d) {
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
  return {ns / 1000000000, ns % 1000000000};
}

void sleep_on(WaitSet& set, FailureWatch& watch) {
  if (set.futex != nullptr && set.fds.empty()) {
    futex_wait(*set.futex, set.futex_value, kLongestSleep);
    return;
  }
  const timespec limit = to_timespec(set.futex != nullptr ? kMixedSleep : kLongestSleep);
  watch.add_fds(set.fds);
  ppoll(set.fds.data(), set.fds.size(), &limit, nullptr);
}

// Patience with a set of streams: what to do each time a round over them moved nothing.
class Patience {
 public:
  Patience(const WaitPolicy& policy, FailureWatch& watch) : policy_(policy), watch_(watch) {}

  void moved() noexcept { idle_rounds_ = 0; }

  template <class PollAll, class Streams>
  Status idle(Streams&& streams, PollAll&& poll_all) {
    ++idle_rounds_;
    if (idle_rounds_ == 1) {
      cpu_relax();
      return {};
    }
    if (policy_.oversubscribed ? idle_rounds_ < kSpinShared : idle_rounds_ % 64 != 0) {
      cpu_relax();
      return {};
    }
    return long_idle(streams, poll_all);
  }

 private:
  template <class PollAll, class Streams>
  Status long_idle(Streams&& streams, PollAll&& poll_all) {
    const TimePoint now = Clock::now();
    if (idle_rounds_ <= 64) {
      since_ = now;
      watch_.restart();
    }
    if (now - checked_ >= kCheckEvery) {
      checked_ = now;
      awaited_.clear();
      streams([&](Stream& stream) { awaited_.push_back(stream.peer()); });
      if (auto s = watch_.check(awaited_); !s) return s;
      if (now - since_ >= policy_.timeout) return Error(Code::timeout, "deadline");
    }
    const Duration waited = now - since_;
    if (waited >= policy_.spin) return sleep(streams, poll_all);
    if (policy_.oversubscribed || waited >= kSpinAlone) sched_yield();
    return {};
  }

  template <class PollAll, class Streams>
  Status sleep(Streams&& streams, PollAll&& poll_all) {
    WaitSet set;
    sleeping_.clear();  // the last look may finish what a stream waits for; it is told to stop waiting all the same
    streams([&](Stream& stream) {
      stream.endpoint().begin_wait(set);
      sleeping_.push_back(&stream);
    });
    auto moved = poll_all();  // what came between the last look and begin_wait
    if (moved && !*moved) sleep_on(set, watch_);
    for (Stream* stream : sleeping_) stream->endpoint().end_wait();
    if (!moved) return std::move(moved.error());
    return {};
  }

  const WaitPolicy& policy_;
  FailureWatch& watch_;
  long long idle_rounds_ = 0;
  TimePoint since_{}, checked_{};
  std::vector<Rank> awaited_;
  std::vector<Stream*> sleeping_;
};

// A timeout says what it was waiting for.
Error name_the_late(Error error, std::span<Execution* const> executions, const WaitPolicy& policy) {
  if (error.code() != Code::timeout) return error;
  std::set<Rank> late;
  std::string calls;
  for (const Execution* e : executions) {
    if (e->done()) continue;
    calls += (calls.empty() ? "" : ", ") + e->signature().to_string();
    for (Stream* stream : e->plan().streams)
      if (stream->pending()) late.insert(stream->peer());
  }
  return {Code::timeout,
          fmt::format(
              "{} made no progress within {:.6g} s (TUTTI_TIMEOUT): waiting for rank{} {}; every rank must make the same calls "
              "in the same order",
              calls, std::chrono::duration<double>(policy.timeout).count(), late.size() == 1 ? "" : "s", fmt::join(late, ", ")),
          late.empty() ? kNoRank : *late.begin()};
}

Result<bool> poll_streams(const Plan& plan) {
  bool moved = false;
  for (Stream* stream : plan.streams) {
    if (!stream->pending()) continue;
    auto m = stream->poll();
    if (!m) return std::move(m.error());
    moved |= *m;
  }
  return moved;
}

// Runs `active` until all are done. `next(i)` is asked whenever active[i] has finished: true when it put a started successor
// in its place, false when there is none.
template <class Next>
Status run_all(std::span<Execution*> active, const WaitPolicy& policy, FailureWatch& watch, Next&& next) {
  Patience patience(policy, watch);
  const auto poll_all = [&]() -> Result<bool> {
    bool moved = false;
    for (const Execution* e : active) {
      auto m = poll_streams(e->plan());
      if (!m) return std::move(m.error());
      moved |= *m;
    }
    return moved;
  };
  const auto pending_streams = [&](auto&& visit) {
    for (const Execution* e : active)
      for (Stream* stream : e->plan().streams)
        if (stream->pending()) visit(*stream);
  };
  for (;;) {
    for (std::size_t i = 0; i < active.size();) {
      if (auto s = active[i]->advance(); !s) return s;
      if (!active[i]->done()) {
        ++i;
        continue;
      }
      auto replaced = next(i);
      if (!replaced) return std::move(replaced.error());
      if (*replaced) continue;
      std::move(active.begin() + static_cast<std::ptrdiff_t>(i) + 1, active.end(),
                active.begin() + static_cast<std::ptrdiff_t>(i));
      active = active.first(active.size() - 1);
    }
    if (active.empty()) return {};
    auto moved = poll_all();
    if (!moved) return std::move(moved.error());
    if (*moved) {
      patience.moved();
      continue;
    }
    if (auto s = patience.idle(pending_streams, poll_all); !s) return name_the_late(std::move(s.error()), active, policy);
  }
}

}  // namespace

Status drive(Execution& execution, const WaitPolicy& policy, FailureWatch& watch) {
  Execution* one[] = {&execution};
  return run_all(one, policy, watch, [](std::size_t) -> Result<bool> { return false; });
}

Status drive(std::span<Lane> lanes, const WaitPolicy& policy, FailureWatch& watch) {
  struct Cursor {
    Lane* lane;
    std::size_t at;
    Status start() const { return lane->queue[at]->start(lane->buffers[at], lane->sequences[at]); }
  };
  std::vector<Execution*> active;
  std::vector<Cursor> cursors;
  for (Lane& lane : lanes) {
    if (lane.queue.empty()) continue;
    cursors.push_back({&lane, 0});
    active.push_back(lane.queue[0]);
    if (auto s = cursors.back().start(); !s) return s;
  }
  return run_all(active, policy, watch, [&](std::size_t i) -> Result<bool> {
    Cursor& c = cursors[i];
    if (++c.at == c.lane->queue.size()) {
      cursors.erase(cursors.begin() + static_cast<std::ptrdiff_t>(i));
      return false;
    }
    active[i] = c.lane->queue[c.at];
    if (auto s = c.start(); !s) return std::move(s.error());
    return true;
  });
}

}  // namespace tutti
