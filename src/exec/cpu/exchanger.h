// Runs the exchanges of a plan.
#pragma once

#include <vector>

#include "exec/cpu/plan.h"

namespace tutti {

class Execution;

class Exchanger {
 public:
  // Of an execution of a plan that has exchanges.
  Exchanger(Execution& execution, const Plan& plan);

  void start(const Signature& signature) noexcept;
  // Goes as far as it can. true: to the end.
  Result<bool> advance();
  // Grows with every look that finds something and everything that is published.
  [[nodiscard]] std::uint64_t progress() const noexcept { return progress_; }

  // What it waits for: whoever has not published yet what is to be taken next, or may not have taken what was published.
  template <class Visit>
  void for_each_awaited(Visit&& visit) const {
    for (Stream* stream : plan_->streams)
      if (!begun_ || waits_for_room() || is_late(stream->peer())) visit(*stream);
  }

 private:
  [[nodiscard]] const Exchange& current() const { return plan_->exchanges.exchanges[plan_->exchanges.order[at_].index]; }
  [[nodiscard]] bool waits_for_room() const { return publishes(current()) && published_ == taken_; }
  [[nodiscard]] bool is_late(Rank member) const;
  [[nodiscard]] static bool publishes(const Exchange& x) noexcept { return x.parts_end > x.parts_begin; }
  Result<bool> exchange(const Exchange& x);
  void begin(const Exchange& x) noexcept;
  Result<bool> publish(const Exchange& x);
  Result<bool> take(const Exchange& x);
  void pass_over(Rank reader) noexcept;
  void combine(std::byte* to, std::uint64_t bytes, bool past_caches);
  Result<bool> find_operands(const ExchangeTake& t, std::uint64_t at, std::uint64_t bytes);

  Execution* execution_;
  const Plan* plan_;
  Board* board_;
  Signature signature_;
  std::size_t element_bytes_;
  std::size_t at_ = 0;  // in ExchangePlan::order
  bool begun_ = false;  // the exchange there
  std::uint64_t pieces_ = 0, piece_bytes_ = 0;
  std::uint64_t published_ = 0, taken_ = 0;  // pieces
  std::uint32_t take_ = 0;                   // of the piece being taken
  std::vector<const void*> operands_;        // of that take, found so far
  std::vector<ConstBytes> parts_;
  std::uint64_t progress_ = 0;
};

}  // namespace tutti
