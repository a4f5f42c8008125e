#include "custom/measure.h"

#include <algorithm>
#include <set>

#include "schedule/access.h"
#include "verify/verify.h"

namespace tutti {
namespace {

// What crosses one level of the machine, besides what a proof says.
struct Crossing {
  std::uint64_t received = 0;  // chunks, by the rank that receives most
  std::uint32_t senders = 0;   // ranks of one group inside it
};

std::size_t level_between(const std::vector<Grouping>& levels, Rank a, Rank b) {
  std::size_t l = 0;
  while (l < levels.size() && levels[l].group_of(a) != levels[l].group_of(b)) ++l;
  return l;
}

std::vector<Crossing> crossings(std::span<const Schedule> ranks, const std::vector<Grouping>& levels) {
  std::vector<Crossing> all(levels.size() + 1);
  std::vector<std::vector<std::uint32_t>> senders(all.size());
  for (std::size_t l = 1; l < all.size(); ++l) senders[l].resize(static_cast<std::size_t>(levels[l - 1].groups()));
  for (const Schedule& s : ranks) {
    std::vector<std::uint64_t> received(all.size());
    std::vector<bool> sends(all.size());
    for (const Step& step : s.steps) {
      if (!communicates(step)) continue;
      const std::size_t l = level_between(levels, s.rank, step.peer);
      if (step.kind == StepKind::send)
        sends[l] = true;
      else
        received[l] += step.to.count;
    }
    for (std::size_t l = 0; l < all.size(); ++l) {
      all[l].received = std::max(all[l].received, received[l]);
      if (l > 0 && sends[l])
        all[l].senders = std::max(all[l].senders, ++senders[l][static_cast<std::size_t>(levels[l - 1].group_of(s.rank))]);
    }
  }
  return all;
}

Cost flat_cost(std::span<const Schedule> ranks, const Proof& proof) {
  const std::uint64_t received = crossings(ranks, {}).front().received;
  return {.chunks_per_block = ranks.front().chunks_per_block,
          .levels = {{.level = -1, .rounds = proof.rounds, .path = proof.path, .sent = proof.sent, .reduced = proof.reduced}},
          .taken = received > proof.sent ? received : 0};
}

Cost cost_by_level(std::span<const Schedule> ranks, const Proof& proof, const std::vector<Grouping>& levels) {
  Cost cost{.chunks_per_block = ranks.front().chunks_per_block, .levels = {}};
  const auto crossing = crossings(ranks, levels);
  for (std::size_t l = 0; l < proof.levels.size(); ++l) {
    const Traffic& traffic = proof.levels[l];
    if (traffic.rounds == 0) continue;
    cost.levels.push_back({.level = static_cast<int>(l),
                           .rounds = traffic.rounds,
                           .path = traffic.path,
                           .sent = std::max(traffic.sent, crossing[l].received),
                           .at_once = crossing[l].senders});
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
