// The schedules of all ranks in the form that the simulation runs: steps with their bytes, who waits for whom, and which send
// belongs to which receive. A schedule is built, taken in and forgotten rank by rank.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "select/select.h"
#include "simulate/network.h"
#include "tutti/result.h"

namespace tutti::simulate {

using StepId = std::uint32_t;  // numbers all steps of all ranks, those of a rank one after the other
inline constexpr StepId kNoStep = UINT32_MAX;

struct ProgramStep {
  StepKind kind = StepKind::copy;
  std::uint16_t channel = 0;
  std::uint32_t waits_for = 0;      // steps that must be done, and an earlier one of its stream that must have begun
  std::uint32_t successors = 0;     // where they begin in Program::successors; they end where those of the next step begin
  StepId partner = kNoStep;         // send: the receive; receive: the send
  StepId next_in_stream = kNoStep;  // may begin when this one has
  std::uint32_t operands = 0;       // fold
  std::uint64_t bytes = 0;
};

class Program {
 public:
  // About how large it will be, before it is made.
  struct Size {
    std::uint64_t steps = 0, messages = 0, dependencies = 0;
    [[nodiscard]] std::uint64_t memory_bytes() const noexcept;
  };
  static Size forecast(const Candidate& candidate, const SelectRequest& request, const JobMachine& machine,
                       const Switches& switches = {});
  // Code::mismatch where a message has no receiver, or another size there.
  static Result<Program> of(const Candidate& candidate, const SelectRequest& request, const JobMachine& machine, const Size& size,
                            const Switches& switches = {});

  [[nodiscard]] Rank ranks() const noexcept { return static_cast<Rank>(first_.size() - 1); }  // switches are the last ones
  [[nodiscard]] const Switches& switches() const noexcept { return switches_; }
  [[nodiscard]] StepId steps() const noexcept { return static_cast<StepId>(steps_.size() - 1); }
  [[nodiscard]] StepId first(Rank r) const noexcept { return first_[static_cast<std::size_t>(r)]; }
  [[nodiscard]] StepId end(Rank r) const noexcept { return first_[static_cast<std::size_t>(r) + 1]; }
  [[nodiscard]] Rank rank_of(StepId step) const noexcept;
  [[nodiscard]] const ProgramStep& step(StepId id) const noexcept { return steps_[id]; }
  [[nodiscard]] std::span<const StepId> successors(StepId id) const noexcept {
    return {successors_.data() + steps_[id].successors, successors_.data() + steps_[id + 1].successors};
  }
  [[nodiscard]] std::size_t memory_bytes() const noexcept {
    return steps_.capacity() * sizeof(ProgramStep) + successors_.capacity() * sizeof(StepId) + first_.capacity() * sizeof(StepId);
  }

 private:
  void add(const Schedule& schedule, const SelectRequest& request);
  Status match();

  Switches switches_;
  std::vector<StepId> first_{0};
  std::vector<ProgramStep> steps_;
  std::vector<StepId> successors_;
  struct End {
    Rank source, destination;
    std::uint32_t channel, number;
    StepId step;
    friend auto operator<=>(const End&, const End&) = default;
  };
  std::vector<End> sends_, receives_;  // until they are matched
};

}  // namespace tutti::simulate
