// Plans by the shape of the call: all but its addresses. A call of the same shape as the last one finds its plan by comparing a
// hundred bytes, which also proves that its arguments are sound.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "exec/cpu/execution.h"
#include "runtime/request.h"

namespace tutti {

[[nodiscard]] bool same_counts(const Call& a, const Call& b) noexcept;

// Whether one plan may serve both, wherever their buffers are.
[[nodiscard]] inline bool same_shape(const Call& a, const Call& b) noexcept {
  const auto counts = [](const Call& c) {
    return c.input_counts.size() | c.output_counts.size() | c.input_displacements.size() | c.output_displacements.size();
  };
  const auto same_text = [](std::string_view x, std::string_view y) { return x.size() == y.size() && (x.empty() || x == y); };
  return a.count == b.count && a.collective == b.collective && a.type == b.type && a.op.kind == b.op.kind && a.root == b.root &&
         a.op.commutative == b.op.commutative && a.op.user == b.op.user && a.destination == b.destination &&
         a.source == b.source && a.receive_count == b.receive_count && same_text(a.algorithm, b.algorithm) &&
         same_text(a.algorithm_filter, b.algorithm_filter) && a.order == b.order && a.accumulate == b.accumulate &&
         ((counts(a) | counts(b)) == 0 || same_counts(a, b));
}

struct CachedPlan : std::enable_shared_from_this<CachedPlan> {
  CachedPlan(const Call& c, const Request& request) : call(c), footprint(request.footprint), in_place(request.in_place) {}
  OwnedCall call;
  Footprint footprint;
  std::uint64_t largest_message = 0;
  bool in_place;
  std::string algorithm = {};
  Plan plan = {};
  std::uint64_t scratch_bytes = 0;  // that the plan needs
  std::unique_ptr<Execution> execution = {};

  // False for a call that another plan must serve, and for one that is wrong.
  [[nodiscard]] bool serves(const Call& c) const noexcept {
    if (!same_shape(call.get(), c) || !footprint.given(c.input, c.output)) return false;
    return in_place ? footprint.in_place(c.input, c.output) : !footprint.overlaps(c.input, c.output);
  }
  [[nodiscard]] std::size_t memory_bytes() const noexcept;
};

// At most kMaxPlans; the least recently used one goes.
class PlanCache {
 public:
  static constexpr std::size_t kMaxPlans = 256;
  // nullptr: none yet. The plan stays until another one is inserted; who needs it longer shares it.
  [[nodiscard]] CachedPlan* find(const Call& call) {
    if (!plans_.empty() && plans_.front()->serves(call)) return plans_.front().get();
    return search(call);
  }
  CachedPlan* insert(std::shared_ptr<CachedPlan> plan);
  // False when there is none.
  bool drop_oldest();
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return memory_bytes_; }

 private:
  using Plans = std::list<std::shared_ptr<CachedPlan>>;
  [[nodiscard]] CachedPlan* search(const Call& call);

  Plans plans_;  // most recently used first
  std::unordered_multimap<std::uint64_t, Plans::iterator> by_shape_;
  std::size_t memory_bytes_ = 0;
};

}  // namespace tutti
