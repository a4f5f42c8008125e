#include "custom/measure.h"

#include <algorithm>

#include "schedule/access.h"
#include "verify/verify.h"

namespace tutti {
namespace {

std::size_t level_between(const std::vector<Grouping>& levels, Rank a, Rank b) {
  std::size_t l = 0;
  while (l < levels.size() && levels[l].group_of(a) != levels[l].group_of(b)) ++l;
  return l;
}

// Of each level that is crossed, the chunks received by the rank that receives most.
std::vector<std::uint64_t> received(std::span<const Schedule> ranks, const std::vector<Grouping>& levels) {
  std::vector<std::uint64_t> most(levels.size() + 1);
  for (const Schedule& s : ranks) {
    std::vector<std::uint64_t> by_rank(most.size());
    for (const Step& step : s.steps)
      if (communicates(step) && step.kind != StepKind::send) by_rank[level_between(levels, s.rank, step.peer)] += step.to.count;
    for (std::size_t l = 0; l < most.size(); ++l) most[l] = std::max(most[l], by_rank[l]);
  }
  return most;
}

Cost flat_cost(std::span<const Schedule> ranks, const Proof& proof) {
  const std::uint64_t taken = received(ranks, {}).front();
  return {.chunks_per_block = ranks.front().chunks_per_block,
          .levels = {{.level = -1,
                      .rounds = proof.rounds,
                      .path = proof.path,
                      .sent = proof.sent,
                      .reduced = proof.reduced,
                      .posted = proof.posted}},
          .taken = taken > proof.sent ? taken : 0};
}

Cost cost_by_level(std::span<const Schedule> ranks, const Proof& proof, const std::vector<Grouping>& levels) {
  Cost cost{.chunks_per_block = ranks.front().chunks_per_block, .levels = {}};
  const auto taken = received(ranks, levels);
  for (std::size_t l = 0; l < proof.levels.size(); ++l) {
    const Traffic& traffic = proof.levels[l];
    if (traffic.rounds == 0) continue;
    cost.levels.push_back({.level = static_cast<int>(l),
                           .rounds = traffic.rounds,
                           .path = traffic.path,
                           .sent = std::max(traffic.sent, taken[l]),
                           .leaving = l == levels.size() ? most_leaving(ranks, levels.back()) : 0,
                           .posted = traffic.posted});
  }
  if (!cost.levels.empty()) cost.levels.back().reduced = proof.reduced;
  return cost;
}

}  // namespace

Result<Cost> measure_cost(std::span<const Schedule> ranks, const std::vector<Grouping>* levels) {
  // A cost is no proof: blocks of one size and any order are what the least is asked of.
  const auto proof = verify(ranks, {.equal_blocks = true, .levels = levels});
  if (!proof) return proof.error().clone();
  if (levels == nullptr || levels->empty() || proof->levels.back().sent == proof->sent) return flat_cost(ranks, *proof);
  return cost_by_level(ranks, *proof, *levels);
}

}  // namespace tutti
