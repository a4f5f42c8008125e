#include "runtime/plan_cache.h"

#include <algorithm>

#include "core/hash.h"

namespace tutti {
namespace {

// Equal for calls that one plan may serve.
std::uint64_t hash_of_shape(const Call& c) {
  Hasher hasher;
  hasher.value(c.count).value(c.receive_count).value(c.collective).value(c.type).value(c.op.kind).value(c.root);
  hasher.value(c.destination).value(c.source);
  return hasher.result();
}

}  // namespace

bool same_counts(const Call& a, const Call& b) noexcept {
  return std::ranges::equal(a.input_counts, b.input_counts) && std::ranges::equal(a.output_counts, b.output_counts) &&
         std::ranges::equal(a.input_displacements, b.input_displacements) &&
         std::ranges::equal(a.output_displacements, b.output_displacements);
}

std::size_t CachedPlan::memory_bytes() const noexcept {
  return sizeof(*this) + call.memory_bytes() + 2 * plan.memory_bytes();  // the execution's state is about as large as the plan
}

CachedPlan* PlanCache::search(const Call& call) {
  const auto [begin, end] = by_shape_.equal_range(hash_of_shape(call));
  for (auto entry = begin; entry != end; ++entry) {
    const Plans::iterator at = entry->second;
    if (!(*at)->serves(call)) continue;
    plans_.splice(plans_.begin(), plans_, at);
    return at->get();
  }
  return nullptr;
}

CachedPlan* PlanCache::insert(std::shared_ptr<CachedPlan> plan) {
  if (plans_.size() == kMaxPlans) drop_oldest();
  plan->execution = std::make_unique<Execution>(plan->plan);
  memory_bytes_ += plan->memory_bytes();
  plans_.push_front(std::move(plan));
  by_shape_.emplace(hash_of_shape(plans_.front()->call.get()), plans_.begin());
  return plans_.front().get();
}

bool PlanCache::drop_oldest() {
  if (plans_.empty()) return false;
  const auto oldest = std::prev(plans_.end());
  const auto [begin, end] = by_shape_.equal_range(hash_of_shape((*oldest)->call.get()));
  by_shape_.erase(std::find_if(begin, end, [&](const auto& entry) { return entry.second == oldest; }));
  memory_bytes_ -= (*oldest)->memory_bytes();
  plans_.pop_back();
  return true;
}

}  // namespace tutti
