// One run of a plan. The state is kept between runs, so that a repeated call allocates nothing.
#pragma once

#include <optional>
#include <vector>

#include "exec/cpu/exchanger.h"

namespace tutti {

struct CallBuffers {
  const std::byte* input = nullptr;
  std::byte* output = nullptr;
  std::byte* scratch = nullptr;     // Plan::scratch_needed() bytes
  double scalar = 1;                // premul_sum: this rank's factor, or
  const void* scalar_at = nullptr;  // where it lies
};

class Execution {
 public:
  explicit Execution(const Plan& plan);

  // Runs the steps in program order as long as each finishes at once, looking up to `looks` times for a message that is not there
  // yet; then starts whatever else can start.
  Status start(const CallBuffers& buffers, std::uint32_t sequence, int looks = 0);
  // Starts what has become ready since. Steps become ready when the execution is polled.
  Status advance();
  // Moves what can move. true: something has.
  Result<bool> poll();
  // The streams by which what this waits for comes.
  template <class Visit>
  void for_each_awaited(Visit&& visit) const {
    if (exchanger_) return exchanger_->for_each_awaited(visit);
    for (Stream* stream : plan_->streams)
      if (stream->pending()) visit(*stream);
  }
  [[nodiscard]] bool done() const noexcept { return finished_; }
  [[nodiscard]] const Plan& plan() const noexcept { return *plan_; }
  [[nodiscard]] const Signature& signature() const noexcept { return signature_; }

  // Steps that concern this rank alone, and where its data are.
  void compute(const PlanStep& s);
  [[nodiscard]] std::byte* at(const PlanRange& r) const noexcept { return base_[static_cast<std::size_t>(r.buffer)] + r.offset; }

  // Stream's side: a step posted earlier has finished.
  void complete(std::uint32_t step) {
    const PlanStep& s = plan_->steps[step];
    --left_;
    for (auto i = s.successors_begin; i < s.successors_end; ++i) release(plan_->successors[i]);
  }

 private:
  // Reduces a message as it arrives.
  class Arrival final : public Consumer {
   public:
    void consume(std::size_t offset, ConstBytes piece) override;
    const Plan* plan = nullptr;
    const PlanStep* step = nullptr;
    const std::byte* from = nullptr;
    std::byte* to = nullptr;
  };

  void release(std::uint32_t step) {
    if (--remaining_[step] == 0) ready_.push_back(step);
  }
  void look_for(const PlanStep& s, int looks) const;
  Status run_steps(int looks);
  Status exchange(int looks);
  template <class Wanted>
  Result<bool> poll_streams(Wanted&& wanted);
  Status go_on_from(std::uint32_t step);
  Status finish();
  Result<bool> run(std::uint32_t step);
  void premultiply(const CallBuffers& buffers);
  void fold(const PlanStep& s);

  const Plan* plan_;
  Signature signature_;
  std::byte* base_[3]{};
  std::size_t left_ = 0;
  bool finished_ = false;
  std::size_t element_bytes_;
  std::vector<std::uint32_t> remaining_;
  std::vector<std::uint32_t> ready_;  // in the order they became ready
  std::size_t ready_at_ = 0;
  std::vector<Arrival> arrivals_;
  std::vector<const void*> operands_;
  std::optional<Exchanger> exchanger_;
};

}  // namespace tutti
