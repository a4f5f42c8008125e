// The only place where anything waits: spin briefly, then yield, then sleep; look out for failures and the deadline.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "core/clock.h"
#include "exec/cpu/execution.h"

namespace tutti {

// Ranks that are waited for, and the calls that cannot go on without them.
struct Waiting {
  std::vector<Rank> peers;
  std::vector<Signature> calls;
};

// Who to ask whether waiting still makes sense.
class FailureWatch {
 public:
  // Cheap and without waiting: an error when a peer died, somebody aborted, or one of the ranks that are waited for has left, or
  // is in another call. Called about once a millisecond, for the
  // first time when a wait has lasted so long; by who sleeps when it wakes.
  virtual Status check(const Waiting& waiting) = 0;
  // A new wait begins: who seemed gone or late in the one before is judged anew.
  virtual void restart() = 0;
  // What would wake a sleeper for the sake of check().
  virtual void add_fds(std::vector<pollfd>& fds) = 0;

 protected:
  ~FailureWatch() = default;
};

struct WaitPolicy {
  bool oversubscribed = false;    // more ranks than cores: give the core away early
  bool few_share_a_core = false;  // then: not more than two or so
  // How often to look for a message at once before anything else is done: some microseconds. Where ranks share cores never,
  // unless it is one rank alone that is waited for, which may well be running on another core just now: then less than a
  // microsecond.
  [[nodiscard]] int first_looks(bool for_one_rank) const noexcept {
    if (!oversubscribed) return 1000;
    return for_one_rank && few_share_a_core ? 64 : 0;
  }
  Duration spin = std::chrono::microseconds(1000);
  Duration timeout = std::chrono::seconds(300);
  std::string_view timeout_from = "TUTTI_TIMEOUT";  // what has set it, for errors; empty: the caller, who knows
  std::function<void()> while_waiting = {};  // in waits of more than 10 us, 100 us where ranks share cores, and as often again
};

// Executions of one communicator that run one after the other; lanes run side by side.
struct Lane {
  std::vector<Execution*> queue;
  std::vector<CallBuffers> buffers;
  std::vector<std::uint32_t> sequences;
};

// Runs one started execution to its end.
Status drive(Execution& execution, const WaitPolicy& policy, FailureWatch& watch);

// Starts and runs all lanes to their end.
Status drive(std::span<Lane> lanes, const WaitPolicy& policy, FailureWatch& watch);

}  // namespace tutti
