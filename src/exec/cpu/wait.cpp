#include "exec/cpu/wait.h"

#include <fmt/format.h>
#include <poll.h>
#include <sched.h>

#include <algorithm>
#include <optional>
#include <set>

#include "core/futex.h"

namespace tutti {
namespace {

constexpr auto kSpinAlone = std::chrono::microseconds(20);  // then the core is offered to others
constexpr auto kOthersAlone = std::chrono::microseconds(10), kOthersShared = std::chrono::microseconds(100);
constexpr auto kCheckEvery = std::chrono::milliseconds(1);
// Failures are looked for, and news of them is passed on, at least this often, and less often the longer a wait has lasted.
constexpr auto kShortSleep = std::chrono::milliseconds(10), kLongSleep = std::chrono::milliseconds(50);
constexpr int kSleepsPerWait = 10;
constexpr auto kMixedSleep = std::chrono::milliseconds(1);          // no call sleeps on a futex and on sockets at once
constexpr auto kInterruptedSleep = std::chrono::microseconds(500);  // where something else must go on

void sleep_on(WaitSet& set, FailureWatch& watch, Duration longest) {
  if (set.fds.empty() && !set.words.empty()) return futex_wait_any(set.words, longest);
  const timespec limit = to_timespec(set.words.empty() ? longest : kMixedSleep);
  watch.add_fds(set.fds);
  ppoll(set.fds.data(), set.fds.size(), &limit, nullptr);
}

// Runs started executions side by side, until none is left.
class Driver {
 public:
  Driver(std::span<Execution*> active, const WaitPolicy& policy, FailureWatch& watch)
      : active_(active), policy_(policy), watch_(watch) {}

  // `next(i)` is asked whenever active[i] has finished: true when it put a started successor in its place, false when there is
  // none.
  template <class Next>
  Status run(Next&& next) {
    for (;;) {
      if (auto s = advance(next); !s) return s;
      if (active_.empty()) return {};
      auto moved = poll_all();
      if (!moved) return std::move(moved.error());
      if (*moved) {
        begin_anew();
        continue;
      }
      if (auto s = idle(); !s) return s;
    }
  }

 private:
  template <class Next>
  Status advance(Next& next) {
    for (std::size_t i = 0; i < active_.size();) {
      if (auto s = active_[i]->advance(); !s) return s;
      if (!active_[i]->done()) {
        ++i;
        continue;
      }
      auto replaced = next(i);
      if (!replaced) return std::move(replaced.error());
      if (*replaced) continue;
      std::move(active_.begin() + static_cast<std::ptrdiff_t>(i) + 1, active_.end(),
                active_.begin() + static_cast<std::ptrdiff_t>(i));
      active_ = active_.first(active_.size() - 1);
    }
    return {};
  }

  template <class Visit>
  void for_each_pending(Visit&& visit) {
    for (const Execution* e : active_) e->for_each_awaited(visit);
  }

  Result<bool> poll_all() {
    bool moved = false;
    for (Execution* e : active_) {
      auto m = e->poll();
      if (!m) return std::move(m.error());
      moved |= *m;
    }
    return moved;
  }

  // Something has moved: the next wait is another one.
  void begin_anew() {
    idle_rounds_ = 0;
    since_.reset();
  }

  // A round over all streams has moved nothing.
  Status idle() {
    ++idle_rounds_;
    // Where ranks share cores, whoever is waited for may need this one.
    if (policy_.oversubscribed || (idle_rounds_ != 1 && idle_rounds_ % 64 == 0)) return long_idle();
    cpu_relax();
    return {};
  }

  Status long_idle() {
    const TimePoint now = Clock::now();
    if (!since_) {
      since_ = now;
      watch_.restart();
    }
    if (!checked_) checked_ = now;  // most waits are over long before anything can be found out
    if (now - *checked_ >= kCheckEvery) {
      checked_ = now;
      if (auto s = watch_.check(waiting()); !s) return s;
      if (now - *since_ >= policy_.timeout) return too_late();
    }
    const Duration waited = now - *since_;
    let_others_go_on(now);
    if (waited >= policy_.spin) return sleep(waited);
    if (policy_.oversubscribed || waited >= kSpinAlone) sched_yield();
    return {};
  }

  // What else must go on may take as long as a whole call.
  void let_others_go_on(TimePoint now) {
    if (!policy_.while_waiting) return;
    if (!gone_on_) gone_on_ = now;
    if (now - *gone_on_ < (policy_.oversubscribed ? kOthersShared : kOthersAlone)) return;
    policy_.while_waiting();
    gone_on_ = Clock::now();
  }

  [[nodiscard]] Duration longest_sleep(Duration waited) const {
    if (policy_.while_waiting) return kInterruptedSleep;
    const Duration left = std::max<Duration>(policy_.timeout - waited, kMixedSleep);
    return std::min(std::clamp<Duration>(waited / kSleepsPerWait, kShortSleep, kLongSleep), left);
  }

  Status sleep(Duration waited) {
    WaitSet set;
    sleeping_.clear();  // the last look may finish what a stream waits for; it is told to stop waiting all the same
    for_each_pending([&](Stream& stream) {
      stream.endpoint().begin_wait(set);
      sleeping_.push_back(&stream);
    });
    auto moved = poll_all();  // what came between the last look and begin_wait
    if (moved && !*moved) sleep_on(set, watch_, longest_sleep(waited));
    for (Stream* stream : sleeping_) stream->endpoint().end_wait();
    if (!moved) return std::move(moved.error());
    if (*moved) begin_anew();
    return {};
  }

  const Waiting& waiting() {
    waiting_.peers.clear();
    waiting_.calls.clear();
    for_each_pending([&](Stream& stream) { waiting_.peers.push_back(stream.peer()); });
    for (const Execution* e : active_) waiting_.calls.push_back(e->signature());
    return waiting_;
  }

  // Why ranks may have to wait for ever.
  std::string suspicion(const std::set<Rank>& late) {
    if (late.empty()) return "waiting for no rank; was the communicator used by two threads at once?";
    const std::string ranks = fmt::format("rank{} {}", late.size() == 1 ? "" : "s", fmt::join(late, ", "));
    const bool point_to_point = std::ranges::all_of(waiting_.calls, [](const Signature& call) {
      return call.collective == static_cast<std::uint8_t>(Collective::send_recv);
    });
    if (!point_to_point) return fmt::format("waiting for {}; every rank must make the same calls in the same order", ranks);
    bool sending = false, receiving = false;
    for_each_pending([&](const Stream& stream) {
      sending |= stream.sending();
      receiving |= stream.receiving();
    });
    if (sending && !receiving)
      return fmt::format(
          "sending to {}, which has not received it; for ranks that send to each other there are sendrecv and Group", ranks);
    return fmt::format("waiting for {}; every send needs a recv on its other side, and every recv a send", ranks);
  }

  Error too_late() {
    const std::set<Rank> late(waiting().peers.begin(), waiting().peers.end());
    std::string calls;
    for (const Signature& call : waiting_.calls) calls += (calls.empty() ? "" : ", ") + call.to_string();
    return {
        Code::timeout,
        fmt::format("{} made no progress within {:.6g} s{}: {}", calls, std::chrono::duration<double>(policy_.timeout).count(),
                    policy_.timeout_from.empty() ? "" : fmt::format(" ({})", policy_.timeout_from), suspicion(late)),
        late.empty() ? kNoRank : *late.begin()};
  }

  std::span<Execution*> active_;
  const WaitPolicy& policy_;
  FailureWatch& watch_;
  long long idle_rounds_ = 0;
  std::optional<TimePoint> since_;  // of this wait
  std::optional<TimePoint> checked_, gone_on_;
  Waiting waiting_;
  std::vector<Stream*> sleeping_;
};

}  // namespace

Status drive(Execution& execution, const WaitPolicy& policy, FailureWatch& watch) {
  Execution* one[] = {&execution};
  return Driver(one, policy, watch).run([](std::size_t) -> Result<bool> { return false; });
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
  return Driver(active, policy, watch).run([&](std::size_t i) -> Result<bool> {
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
