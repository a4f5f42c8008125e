#include "select/cost.h"

#include <algorithm>
#include <cmath>

namespace tutti {
namespace {

// The gap between two messages of one rank over the network, as a share of its latency: system calls and copies that the two
// ends of a TCP connection pay, about 2 of 10 us; a card that does it alone needs 0.3 of 1.5 us.
constexpr double kNetworkGap = 0.2;
// Where hosts share cores, these cores are the network, too.
constexpr double kNetworkGapOnSharedCores = 1;
// The same between ranks of a host that share cores, for a message that lies beside its flag and for one that is too large for
// that: after each turn of the others, all that it passes through has left the core's nearest caches.
constexpr double kBesideFlagBytes = 256, kSmallGapOnSharedCores = 0.15, kGapOnSharedCores = 0.5;
// Bytes suffer alike: a connection holds but a part of a large message, and the rest waits for another turn. (Where there are
// other hosts, too, their network has been measured on cores that are as crowded.)
constexpr double kSentOnSharedCores = 0.5;

struct Rates {
  double latency_us, gap_us, bandwidth_gbps;  // of a round, of each further message in it, of one rank
};

Rates rates_at(const LevelCost& cost, const JobMachine& machine, double crowd, double chunk_bytes) {
  const std::size_t widest = machine.links.size() - 1;
  const bool flat = cost.level < 0;
  const std::size_t at = flat ? widest : std::min(static_cast<std::size_t>(cost.level), widest);
  const LinkParameters& link = machine.links[at];
  Rates rates{link.latency_us, machine.step_us * crowd, link.bandwidth_gbps};
  const bool crosses_hosts = at == widest && machine.ranks > machine.ranks_per_host;
  if (crosses_hosts) {
    const double all = machine.ranks_per_host, named = cost.at_once;
    rates.gap_us += link.latency_us * (machine.hosts_share_cores() ? kNetworkGapOnSharedCores : kNetworkGap) * crowd;
    rates.bandwidth_gbps /= named > 0 ? std::min(named, all) : flat ? all : 1;
  }
  if (machine.oversubscribed()) {
    const double share = chunk_bytes > kBesideFlagBytes ? kGapOnSharedCores : kSmallGapOnSharedCores;
    if (!crosses_hosts) rates.gap_us += link.latency_us * share * crowd;
    if (machine.ranks == machine.ranks_per_host) rates.bandwidth_gbps *= kSentOnSharedCores;
    rates.latency_us = std::max(rates.latency_us, machine.turn_us * crowd);
    if (!crosses_hosts || !machine.hosts_share_cores()) rates.bandwidth_gbps /= crowd;  // else the ranks share the link already
  }
  return rates;
}

// Chunks through the busiest rank, in the direction where it has more to do.
double busiest(const LevelCost& level, const Cost& cost) { return static_cast<double>(std::max(level.sent, cost.taken)); }

// What arrives is combined instead of being copied to its place, and that copy is a part of the link's bandwidth; but where more
// than two contributions meet in one step, they are copied first, unless they are published.
double reduction_us_per_byte(const Candidate& candidate, const JobMachine& machine) {
  const bool copied = !candidate.published && candidate.algorithm->meets_at_once && machine.ranks > 2;
  return std::max(0.0, 1 / machine.reduce_gbps - (copied ? 0 : 1 / machine.copy_gbps)) / 1e3;
}

// All ranks of a host publish and take. What is published is copied by its writer, once, and taken by its readers; a link's
// bandwidth is that of one copy after the other. What is more than a board holds takes another turn of all.
void price_published(Candidate& candidate, const Cost& cost, const JobMachine& machine, double chunk_bytes, double crowd) {
  const LevelCost& level = cost.levels[0];
  const LinkParameters& link = machine.links.back();
  // What all ranks do they do in turns on the cores that they share; a root that has more to do than others does that alone.
  const auto in_turns = [crowd](std::uint64_t most, std::uint64_t of_others) {
    return std::max(static_cast<double>(most), static_cast<double>(std::min(most, of_others)) * crowd);
  };
  const double written = in_turns(cost.published, cost.taken), read = in_turns(cost.taken, level.sent);
  const double turn_us = machine.oversubscribed() ? machine.turn_us * crowd : 0;
  const double pieces = std::floor(static_cast<double>(cost.published) * chunk_bytes / Board::kUsualBytes);
  candidate.rounds = level.rounds;
  candidate.latency_us = level.rounds * std::max(link.latency_us, turn_us) + read * machine.step_us + pieces * turn_us;
  candidate.bandwidth_us = (written + read) / 2 * chunk_bytes / (link.bandwidth_gbps * 1e3);
  candidate.reduction_us = in_turns(level.reduced, level.sent) * chunk_bytes * reduction_us_per_byte(candidate, machine);
}

void price_sent(Candidate& candidate, const Cost& cost, const JobMachine& machine, double chunk_bytes, double crowd) {
  for (const LevelCost& level : cost.levels) {
    if (level.rounds == 0) continue;
    const Rates rates = rates_at(level, machine, crowd, chunk_bytes);
    const double path = static_cast<double>(level.path), busy = busiest(level, cost);
    // A message of the chain is path / rounds chunks; so large are the busiest rank's, too.
    const double at_a_time = std::max({1.0, static_cast<double>(level.at_a_time), path > 0 ? busy / path : 0});
    candidate.rounds += level.rounds;
    candidate.latency_us += level.rounds * (rates.latency_us + machine.step_us * crowd + (at_a_time - 1) * rates.gap_us);
    const double bytes = at_a_time * path * chunk_bytes;
    if (bytes > 0) candidate.bandwidth_us += bytes / (rates.bandwidth_gbps * 1e3);
    candidate.reduction_us +=
        static_cast<double>(level.reduced) * chunk_bytes * reduction_us_per_byte(candidate, machine) * crowd;
  }
}

}  // namespace

void price(Candidate& candidate, const SelectRequest& request, const JobMachine& machine) {
  const Shape shape{.ranks = machine.ranks, .root = request.root, .levels = machine.levels.empty() ? nullptr : &machine.levels};
  const Cost cost = candidate.algorithm->cost(shape, candidate.chunking);
  const double chunk_bytes = static_cast<double>(request.block_bytes) / cost.chunks_per_block;
  const double crowd = machine.oversubscribed() ? static_cast<double>(machine.core_sharers) / machine.cores_per_host : 1;
  const auto price_it = candidate.published ? price_published : price_sent;
  price_it(candidate, cost, machine, chunk_bytes, crowd);
  candidate.total_us = candidate.latency_us + candidate.bandwidth_us + candidate.reduction_us;
}

}  // namespace tutti
