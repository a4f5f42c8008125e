// What memory holds, as symbols: which datum, and whose contributions to it.
#pragma once

#include "verify/contributions.h"
#include "verify/layout.h"
#include "verify/verify.h"

namespace tutti::verifier {

class Values {
 public:
  Values(std::span<const Schedule> ranks, const std::vector<Layout>& layouts, const VerifyOptions& options);

  // Performs a copy, reduce or fold; or, for a send, the message it makes with the receiving step.
  [[nodiscard]] Status local(Rank rank, std::uint32_t step);
  [[nodiscard]] Status message(Rank sender, std::uint32_t send, Rank receiver, std::uint32_t recv);
  // Every output chunk holds what it must.
  [[nodiscard]] Status check_results();
  // In which order the results came about, once these have been checked.
  [[nodiscard]] const ReductionOrder& order() const noexcept { return order_; }

 private:
  struct Value {
    std::uint64_t datum = 0;
    Contributions::Set set = UINT32_MAX;  // nothing was written here
    ReductionOrder order = {};            // of the contributions
    bool single = true;                   // one contribution, of which nothing has been rounded yet
    [[nodiscard]] bool defined() const noexcept { return set != UINT32_MAX; }
    [[nodiscard]] bool same(const Value& other) const noexcept { return datum == other.datum && set == other.set; }
  };
  // A step at work.
  struct At {
    Rank rank;
    std::uint32_t step;
  };

  [[nodiscard]] const Schedule& schedule(Rank r) const { return ranks_[static_cast<std::size_t>(r)]; }
  [[nodiscard]] const Layout& layout(Rank r) const { return layouts_[static_cast<std::size_t>(r)]; }
  [[nodiscard]] Value* cells(Rank r, const Slice& slice) {
    return &values_[first_[static_cast<std::size_t>(r)] + layout(r).cells(slice).begin];
  }
  [[nodiscard]] Status read(At at, const Slice& slice, std::uint32_t i, Value& value);
  [[nodiscard]] Status combine(At at, const Value& left, const Value& right, const Slice& to, std::uint32_t i, Value& value);
  [[nodiscard]] Status combine(At at, std::span<const Value> operands, const Slice& to, std::uint32_t i, Value& value);
  [[nodiscard]] Status fold(At at, const Step& step);
  [[nodiscard]] Value initial(Rank r, std::uint32_t chunk) const;
  [[nodiscard]] Value required(Rank r, std::uint32_t chunk);
  [[nodiscard]] Status check_result(Rank r, std::uint32_t chunk);
  [[nodiscard]] std::string text(const Value& value) const;
  [[nodiscard]] std::string datum_text(std::uint64_t datum) const;

  std::span<const Schedule> ranks_;
  const std::vector<Layout>& layouts_;
  bool ordered_, idempotent_;
  Contributions contributions_;
  ReductionOrder order_;
  std::vector<std::size_t> first_;  // by rank: its first cell
  std::vector<Value> values_;
};

}  // namespace tutti::verifier
