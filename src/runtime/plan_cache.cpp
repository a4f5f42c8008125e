#include "runtime/plan_cache.h"

#include <algorithm>

namespace tutti {

PlanKey::PlanKey(const Request& r)
    : collective(r.collective),
      type(r.type),
      op(r.op.kind),
      commutative(r.op.commutative),
      in_place(r.in_place),
      root(r.root),
      destination(r.destination),
      source(r.source),
      count(r.count),
      receive_count(r.receive_count),
      user(r.op.user) {}

bool operator==(const PlanKey& a, const PlanKey& b) noexcept {
  return a.count == b.count && a.collective == b.collective && a.type == b.type && a.op == b.op && a.in_place == b.in_place &&
         a.root == b.root && a.commutative == b.commutative && a.destination == b.destination && a.source == b.source &&
         a.receive_count == b.receive_count && a.user.apply == b.user.apply && a.user.context == b.user.context;
}

bool CachedPlan::serves(const PlanKey& k, const Request& r) const noexcept {
  if (!(key == k) || forced_algorithm != r.algorithm) return false;
  return std::ranges::equal(counts[0], r.input_blocks.counts) && std::ranges::equal(counts[1], r.input_blocks.displacements) &&
         std::ranges::equal(counts[2], r.output_blocks.counts) && std::ranges::equal(counts[3], r.output_blocks.displacements);
}

std::size_t CachedPlan::memory_bytes() const noexcept {
  std::size_t bytes = sizeof(*this) + 2 * plan.memory_bytes();  // the execution's state is about as large as the plan
  for (const auto& c : counts) bytes += c.capacity() * sizeof(std::uint64_t);
  return bytes;
}

CachedPlan* PlanCache::find(const Request& request) {
  const PlanKey key(request);
  for (auto it = plans_.begin(); it != plans_.end(); ++it) {
    if (!(*it)->serves(key, request)) continue;
    if (it != plans_.begin()) plans_.splice(plans_.begin(), plans_, it);
    return plans_.front().get();
  }
  return nullptr;
}

CachedPlan* PlanCache::insert(std::shared_ptr<CachedPlan> plan) {
  if (plans_.size() == kMaxPlans) {
    memory_bytes_ -= plans_.back()->memory_bytes();
    plans_.pop_back();
  }
  plan->execution = std::make_unique<Execution>(plan->plan);
  memory_bytes_ += plan->memory_bytes();
  plans_.push_front(std::move(plan));
  return plans_.front().get();
}

}  // namespace tutti
