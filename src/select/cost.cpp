#include "select/cost.h"

#include <algorithm>

namespace tutti {
namespace {

// Latency of a round and bandwidth per rank at one entry of a row's cost.
struct Rates {
  double latency_us, bandwidth_gbps;
};

Rates rates_at(const LevelCost& cost, const JobMachine& machine) {
  const std::size_t widest = machine.links.size() - 1;
  const bool flat = cost.level < 0;
  const std::size_t at = flat ? widest : std::min(static_cast<std::size_t>(cost.level), widest);
  const LinkParameters& link = machine.links[at];
  Rates rates{link.latency_us, link.bandwidth_gbps};
  const bool crosses_hosts = at == widest && !machine.level_names.empty() && machine.level_names.back() == Level::host;
  // A flat algorithm lets all ranks of a host send through the same interface at once; a hierarchical one sends one rank.
  if (flat && crosses_hosts) rates.bandwidth_gbps /= machine.ranks_per_host;
  if (machine.oversubscribed()) {
    const double turn = machine.turn_us * machine.ranks_per_host / machine.cores_per_host;
    rates.latency_us = std::max(rates.latency_us, turn);
    rates.bandwidth_gbps *= static_cast<double>(machine.cores_per_host) / machine.ranks_per_host;
  }
  return rates;
}

}  // namespace

void price(Candidate& candidate, const SelectRequest& request, const JobMachine& machine) {
  const Shape shape{.ranks = machine.ranks, .root = request.root, .levels = machine.levels.empty() ? nullptr : &machine.levels};
  const Cost cost = candidate.algorithm->cost(shape, candidate.chunking);
  const double chunk_bytes = static_cast<double>(request.block_bytes) / cost.chunks_per_block;
  const double crowd = machine.oversubscribed() ? static_cast<double>(machine.ranks_per_host) / machine.cores_per_host : 1;
  for (const LevelCost& level : cost.levels) {
    const Rates rates = rates_at(level, machine);
    // Messages a rank sends at once still cost the executor one after the other.
    const double steps = level.path == 0 ? 0 : static_cast<double>(level.sent) / static_cast<double>(level.path);
    candidate.rounds += level.rounds;
    candidate.latency_us += level.rounds * (rates.latency_us + std::max(steps, 1.0) * machine.step_us * crowd);
    const double bytes = static_cast<double>(std::max(level.path, level.sent)) * chunk_bytes;
    if (bytes > 0) candidate.bandwidth_us += bytes / (rates.bandwidth_gbps * 1e3);
    candidate.reduction_us += static_cast<double>(level.reduced) * chunk_bytes / (machine.reduce_gbps * 1e3) * crowd;
  }
  candidate.total_us = candidate.latency_us + candidate.bandwidth_us + candidate.reduction_us;
}

}  // namespace tutti
