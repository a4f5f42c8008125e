// Runs checked calls on one communicator: finds or makes the plan, and drives it.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>

#include "runtime/adoption.h"
#include "runtime/failure.h"
#include "runtime/job.h"
#include "runtime/plan_cache.h"
#include "runtime/streams.h"
#include "select/choice_table.h"

namespace tutti {

// Grow-only memory for intermediate results, aligned for vectors.
class Scratch {
 public:
  // nullptr when the system has no such memory.
  [[nodiscard]] std::byte* reserve(std::uint64_t bytes) { return bytes <= size_ ? memory_.get() : grow(bytes); }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

 private:
  [[nodiscard]] std::byte* grow(std::uint64_t bytes);
  struct Free {
    void operator()(std::byte* p) const noexcept { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::atomic<std::uint64_t> size_{0};
};

class Runner {
 public:
  static Result<std::unique_ptr<Runner>> make(std::unique_ptr<Job> job, const Options& options);
  ~Runner();

  [[nodiscard]] Job& job() noexcept { return *job_; }
  [[nodiscard]] const JobMachine& machine() const noexcept { return job_->machine(); }
  // That it was made with.
  [[nodiscard]] const Options& options() const noexcept { return options_; }

  Status run(const Call& call);

  // What a group drives itself: a plan with its own execution state, and where its data is.
  struct Prepared {
    std::shared_ptr<CachedPlan> plan;
    CallBuffers buffers;
    Adoption::Hold hold;  // until the group is done
  };
  Result<Prepared> prepare(const Call& call);
  // The number of the next collective call.
  [[nodiscard]] std::uint32_t next_sequence() noexcept { return ++sequence_; }
  // Where scratch memory is now: preparing another call may move it.
  [[nodiscard]] std::byte* scratch() noexcept { return scratch_.reserve(0); }
  // The reason why this communicator is dead, if it is.
  [[nodiscard]] Status alive();
  // Ends all waiting on every rank, and this rank's further calls. From any thread.
  void abort(const std::string& reason);
  // Ends this communicator for everybody; returns what this rank should report.
  Error fail(Error error);
  // The same from any thread: whoever uses the communicator finds out.
  Error report(Error error);

  // What the selector is asked for this call.
  [[nodiscard]] SelectRequest question(const Request& request) const;
  [[nodiscard]] const Contract& contract() const noexcept { return contract_; }
  // How the call is done, of all ways, and what the machine was taken for.
  struct Explained {
    Selection selection;
    SelectRequest asked;
    const JobMachine* machine;
  };
  [[nodiscard]] Result<Explained> explain(const Request& request) const;
  // Both from any thread, also while an asynchronous call runs.
  [[nodiscard]] MemoryUse memory() const;
  [[nodiscard]] std::string last_algorithm() const;
  [[nodiscard]] const Adoption& adoption() const noexcept { return adoption_; }
  [[nodiscard]] const WaitPolicy& policy() const noexcept { return policy_; }
  [[nodiscard]] OverlayWatch& watch() noexcept { return watch_; }

 private:
  Runner(std::unique_ptr<Job> job, const Options& options);
  [[nodiscard]] Status failure() const;
  Result<CachedPlan*> plan_for(const Call& call);
  Result<Candidate> choose(const Request& request);
  // `select` chooses on a machine as `asked` says.
  template <class Select>
  auto choose_by(const Select& select, SelectRequest& asked) const;
  Result<CachedPlan*> make_plan(const Call& call, const Request& request);
  [[nodiscard]] Schedule schedule_for(const Request& request, const Candidate& winner) const;
  Status make_room(const CachedPlan& plan);
  Status wait_for(Execution& execution, const Call& call);
  CallBuffers buffers_for(const CachedPlan& plan, const Call& call) noexcept;

  std::unique_ptr<Job> job_;
  Options options_;
  AlgorithmOverrides overrides_;
  Contract contract_;    // of calls that do not say themselves what they promise
  ChoiceTable choices_;  // of calls that do not say themselves how they are to be done
  ChoiceTable settled_choices_;
  std::uint64_t memory_limit_;
  std::uint64_t cache_share_;
  Streams streams_;
  OverlayWatch watch_;
  WaitPolicy policy_;
  Adoption adoption_;
  PlanCache plans_;
  std::atomic<std::size_t> plan_bytes_{0}, transport_bytes_{0};
  Scratch scratch_;
  std::uint32_t sequence_ = 0;
  const CachedPlan* last_plan_ = nullptr;  // only to be compared
  mutable std::mutex name_mutex_;
  std::string last_algorithm_;
  mutable std::mutex failure_mutex_;
  std::optional<Error> failure_;
  std::atomic<bool> over_{false};  // failed, or aborted, which this rank has yet to hear of
};

}  // namespace tutti
