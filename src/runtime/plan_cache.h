// Plans by the shape of the call. A repeated call finds its plan by comparing a hundred bytes with the last one used.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "exec/cpu/execution.h"
#include "runtime/request.h"

namespace tutti {

// What a plan depends on: a request less its addresses.
struct PlanKey {
  Collective collective;
  DataType type;
  ReduceKind op;
  bool commutative;
  bool in_place;
  Rank root, destination, source;
  std::uint64_t count, receive_count;
  UserFunction user;

  explicit PlanKey(const Request& r);
  friend bool operator==(const PlanKey& a, const PlanKey& b) noexcept;
};

struct CachedPlan : std::enable_shared_from_this<CachedPlan> {
  explicit CachedPlan(const PlanKey& k) : key(k) {}
  PlanKey key;
  std::string forced_algorithm = {};
  std::array<std::vector<std::uint64_t>, 4> counts =
      {};  // of v-variants: input counts, displacements, output counts, displacements
  std::string algorithm = {};
  Plan plan = {};
  std::unique_ptr<Execution> execution = {};

  [[nodiscard]] bool serves(const PlanKey& k, const Request& r) const noexcept;
  [[nodiscard]] std::size_t memory_bytes() const noexcept;
};

// At most kMaxPlans; the least recently used one goes.
class PlanCache {
 public:
  static constexpr std::size_t kMaxPlans = 256;
  // nullptr: none yet. The plan stays until another one is inserted; who needs it longer shares it.
  [[nodiscard]] CachedPlan* find(const Request& request);
  CachedPlan* insert(std::shared_ptr<CachedPlan> plan);
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return memory_bytes_; }

 private:
  std::list<std::shared_ptr<CachedPlan>> plans_;  // most recently used first
  std::size_t memory_bytes_ = 0;
};

}  // namespace tutti
