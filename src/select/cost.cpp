#include "select/cost.h"

#include <algorithm>
#include <cmath>

namespace tutti {
namespace {

// Where hosts share cores, these cores are the network, too.
constexpr double kNetworkGapOnSharedCores = 1;
// What is published for one reader alone lies on boards that hold what all ranks have for all others, where messages use the same
// cells again, which stay in the nearest caches. Fitted to all_to_all and reduce_scatter of 4 and 8 ranks on 2 cores.
constexpr double kPublishedForOne = 1.5;
// The same between ranks of a host that share cores, for a message that lies beside its flag and for one that is too large for
// that: after each turn of the others, all that it passes through has left the core's nearest caches.
constexpr double kBesideFlagBytes = 256, kSmallGapOnSharedCores = 0.15, kGapOnSharedCores = 0.5;

// What all ranks of a pod share, and how much a flat row sends over it (LevelCost::carried).
struct Uplinks {
  Pods pod;
  std::uint64_t carried = 0;
};

// What other ranks on the same cores and networks take away; or nothing, to learn what that is.
struct Sharing {
  bool shared = true;
  double crowd = 1;  // ranks per core
  const Uplinks* uplinks = nullptr;
};

struct Rates {
  double latency_us, gap_us, bandwidth_gbps;  // of a round, of each further message in it, of one rank
  double port_gap_us = 0;                     // the latter of a network's port, which sends the message's bytes meanwhile
  double busy = 1;                            // where cores are shared and all ranks work: so much less has each of them
};

bool crosses_hosts(const LevelCost& cost, const JobMachine& machine) {
  if (cost.level >= 0 && static_cast<std::size_t>(cost.level) < machine.level_names.size() &&
      machine.level_names[static_cast<std::size_t>(cost.level)] == Level::leaf)
    return true;
  const bool widest = cost.level < 0 || static_cast<std::size_t>(cost.level) + 1 >= machine.links.size();
  return widest && machine.ranks > machine.ranks_per_host;
}

std::size_t link_of(const LevelCost& cost, const JobMachine& machine) {
  const std::size_t widest = machine.links.size() - 1;
  return cost.level < 0 ? widest : std::min(static_cast<std::size_t>(cost.level), widest);
}

// One copy after the other. Ranks that take turns on the same cores find what others have written in the caches of these cores;
// between GPUs the way there decides, however many ranks share one.
double in_memory_gbps(const LinkParameters& link, const JobMachine& machine) {
  return machine.oversubscribed() && !machine.on_gpus ? std::max(link.bandwidth_gbps, machine.copy_gbps / 2)
                                                      : link.bandwidth_gbps;
}

// Ranks of a host that send to others at once, if each had as much as the busiest one.
double sending_at_once(const LevelCost& cost, double all) {
  const double known = cost.sent > 0 ? static_cast<double>(cost.leaving) / static_cast<double>(cost.sent) : 0;
  return known > 0 ? std::min(known, all) : cost.level < 0 ? all : 1;
}

Rates rates_at(const LevelCost& cost, const JobMachine& machine, Sharing with, double chunk_bytes) {
  const std::size_t at = link_of(cost, machine);
  const LinkParameters& link = machine.links[at];
  const double crowd = with.crowd;
  const bool over_network = crosses_hosts(cost, machine);
  Rates rates{link.latency_us, machine.step_us * crowd, over_network ? link.bandwidth_gbps : in_memory_gbps(link, machine)};
  if (over_network) {
    const bool on_these_cores = with.shared && machine.hosts_share_cores();
    if (on_these_cores)
      rates.gap_us += link.latency_us * kNetworkGapOnSharedCores * crowd;
    else
      rates.port_gap_us = link.latency_us * kNetworkGap * crowd;
  }
  if (!with.shared) return rates;
  const double all = machine.ranks_per_host, at_once = over_network ? sending_at_once(cost, all) : all;
  if (!machine.oversubscribed()) {
    if (over_network) rates.bandwidth_gbps /= std::max(1.0, at_once / machine.rails_per_host);
    return rates;
  }
  const bool on_cores = !over_network || machine.hosts_share_cores();
  const double share = on_cores ? std::max(1.0, crowd * at_once / all) : crowd * std::max(1.0, at_once / machine.rails_per_host);
  rates.bandwidth_gbps /= share;
  if (on_cores) {
    rates.busy = share;
    rates.latency_us *= share;  // it is work of these cores, too
  }
  rates.latency_us = std::max(rates.latency_us, machine.turn_us * crowd);
  if (!over_network)
    rates.gap_us += link.latency_us * (chunk_bytes > kBesideFlagBytes ? kGapOnSharedCores : kSmallGapOnSharedCores) * crowd;
  return rates;
}

// Chunks through the busiest rank, in the direction where it has more to do.
double busiest(const LevelCost& level, const Cost& cost) { return static_cast<double>(std::max(level.sent, cost.taken)); }

// Links between the nodes of a torus that are on the way of a message to anywhere.
double mean_links(std::span<const Rank> torus) {
  double links = 0;
  for (const Rank size : torus) links += static_cast<double>(size / 2) * static_cast<double>((size + 1) / 2) / size;
  return links;
}

// Chunks that take as long, one after the other, over one link of a torus. A rank that sends one message at a time sends it along
// either direction of one dimension, so of its links two have work; more where it sends more, but for rows with a radix: the
// ranks that meet in a round differ in one digit, so they lie along one dimension.
double over_torus(const LevelCost& level, const Cost& cost, const JobMachine& machine, const Algorithm& algorithm) {
  const double busy = busiest(level, cost);
  const double path = static_cast<double>(level.path), links = 2 * static_cast<double>(machine.torus.size());
  const double in_use = algorithm.has_radix ? 2.0 : std::clamp(2 * busy / path, 2.0, links);
  // A tree brings everybody the vector; what its root sends is not what others do.
  const double at_random = (has_root(algorithm.collective) ? cost.chunks_per_block : busy) * mean_links(machine.torus);
  const double carried = level.carried > 0 ? static_cast<double>(level.carried) / machine.ranks : at_random;
  return std::max({path, busy / links, carried / in_use});
}

// With a root ranks work one after another rather than all at once, and so has each a core to itself; but all the vector has to
// go to (or from) each of them, and that work is shared.
double of_one_after_another(double chunks, const Cost& cost, const Rates& rates) {
  return std::max(chunks / rates.busy, std::min<double>(chunks, cost.chunks_per_block));
}

// Chunks that take as long over one link between hosts as what leaves the busiest pod takes over its uplinks. What is not known
// of a row is as if data came from anywhere: to all ranks of a pod or, between groups, to those that send and receive for theirs.
double over_uplinks(const LevelCost& level, const Cost& cost, const JobMachine& machine, const Uplinks& uplinks,
                    Collective collective) {
  if (level.level < 0 && uplinks.carried > 0) return static_cast<double>(uplinks.carried) / uplinks.pod.uplinks;
  const auto at = static_cast<std::size_t>(std::max(level.level, 0));
  const bool widest = level.level < 0 || at >= machine.levels.size();
  const double near = level.level <= 0 ? 1 : machine.levels[at - 1].largest();
  const double far = widest ? machine.ranks : machine.levels[at].largest();
  const double pod = std::max<double>(uplinks.pod.size, near);
  if (far <= pod) return 0;
  // A flat tree brings everybody the vector; what its root sends is not what a pod does.
  const double busy = level.level < 0 && has_root(collective) ? cost.chunks_per_block : busiest(level, cost);
  const double of_group = level.level < 0 ? busy : std::max<double>(busy, level.leaving);
  return pod / near * of_group * (far - pod) / (far - near) / uplinks.pod.uplinks;
}

// While one piece is between hosts, cores work on others: for all pieces but one the less of the two costs nothing.
double hidden_us(double network_us, double on_cores_us, std::uint32_t pieces, const JobMachine& machine) {
  return machine.hosts_share_cores() ? 0 : std::min(network_us, on_cores_us) * (1 - 1.0 / pieces);
}

// What arrives is combined instead of being copied to its place, and that copy is a part of the link's bandwidth; but where more
// than two contributions meet in one step, they are copied first, unless they are published. reduce_gbps is that of two operands:
// two are read, one is written. Where all meet at once, p are read for p - 1 combined, and one is written.
double reduction_us_per_byte(const Candidate& candidate, const JobMachine& machine) {
  const bool copied = !candidate.published && candidate.algorithm->meets_at_once && machine.ranks > 2;
  const double others = machine.ranks - 1;
  const double streams = candidate.algorithm->meets_at_once && machine.ranks > 2 ? (others + 2) / (3 * others) : 1;
  return std::max(0.0, streams / machine.reduce_gbps - (copied ? 0 : 1 / machine.copy_gbps)) / 1e3;
}

struct Price {
  double latency_us = 0, bandwidth_us = 0, reduction_us = 0;
  [[nodiscard]] double total_us() const { return latency_us + bandwidth_us + reduction_us; }
};

// All ranks of a host publish and take. What is published is copied by its writer, once, and taken by its readers; a link's
// bandwidth is that of one copy after the other. What is more than a board holds takes another turn of all.
Price price_published(Candidate& candidate, const Cost& cost, const JobMachine& machine, double chunk_bytes, Sharing with) {
  const LevelCost& level = cost.levels[0];
  const LinkParameters& link = machine.links.back();
  // What all ranks do they do in turns on the cores that they share; a root that has more to do than others does that alone.
  const auto in_turns = [&](std::uint64_t most, std::uint64_t of_others) {
    return std::max(static_cast<double>(most), static_cast<double>(std::min(most, of_others)) * with.crowd);
  };
  const double written = in_turns(cost.published, cost.taken), read = in_turns(cost.taken, level.sent);
  const double turn_us = with.shared && machine.oversubscribed() ? machine.turn_us * with.crowd : 0;
  const double pieces = std::floor(static_cast<double>(cost.published) * chunk_bytes / Board::kUsualBytes);
  const double dearer =
      with.shared && machine.oversubscribed() && cost.published >= level.sent && cost.published > cost.chunks_per_block
          ? kPublishedForOne
          : 1;
  candidate.rounds = level.rounds;
  candidate.bounding_link = machine.links.size() - 1;
  return {.latency_us = level.rounds * std::max(link.latency_us, turn_us) + read * machine.step_us + pieces * turn_us,
          .bandwidth_us = dearer * (written + read) / 2 * chunk_bytes / (in_memory_gbps(link, machine) * 1e3),
          .reduction_us = in_turns(level.reduced, level.sent) * chunk_bytes * reduction_us_per_byte(candidate, machine)};
}

// Messages that a rank has to do with beyond the first one of each round. Where it is not known how many there are, each of the
// busiest rank's is as large as those of the chain are.
double beyond_first(const LevelCost& level, double at_a_time) {
  const double in_rounds = level.rounds * (level.posted > 0 ? std::max<double>(level.at_a_time, 1) : at_a_time);
  return std::max<double>(static_cast<double>(level.posted), in_rounds) - level.rounds;
}

Price price_level(const Candidate& candidate, const Cost& cost, const LevelCost& level, const JobMachine& machine,
                  double chunk_bytes, Sharing with) {
  const Rates rates = rates_at(level, machine, with, chunk_bytes);
  const double path = static_cast<double>(level.path), busy = busiest(level, cost);
  const double at_a_time = std::max({1.0, static_cast<double>(level.at_a_time), path > 0 ? busy / path : 0});
  const bool over_links = !machine.torus.empty() && level.level < 0;
  const double chunks = over_links                                  ? over_torus(level, cost, machine, *candidate.algorithm)
                        : has_root(candidate.algorithm->collective) ? of_one_after_another(at_a_time * path, cost, rates)
                                                                    : at_a_time * path;
  const double uplinks =
      with.uplinks == nullptr ? 0 : over_uplinks(level, cost, machine, *with.uplinks, candidate.algorithm->collective);
  const double further = beyond_first(level, at_a_time);
  const double bytes_us =
      std::max(chunks / rates.bandwidth_gbps, uplinks / machine.links.back().bandwidth_gbps) * chunk_bytes / 1e3;
  return {
      .latency_us = level.rounds * (rates.latency_us + machine.step_us * with.crowd) + further * rates.gap_us +
                    std::max(0.0, further * rates.port_gap_us - bytes_us),
      .bandwidth_us = bytes_us,
      .reduction_us = static_cast<double>(level.reduced) * chunk_bytes * reduction_us_per_byte(candidate, machine) * with.crowd};
}

Price price_sent(Candidate& candidate, const Cost& cost, const JobMachine& machine, double chunk_bytes, Sharing with) {
  Price sum;
  double most_us = -1, network_us = 0;
  candidate.rounds = 0;
  for (const LevelCost& level : cost.levels) {
    if (level.rounds == 0) continue;
    const Price price = price_level(candidate, cost, level, machine, chunk_bytes, with);
    candidate.rounds += level.rounds;
    sum.latency_us += price.latency_us;
    sum.bandwidth_us += price.bandwidth_us;
    sum.reduction_us += price.reduction_us;
    if (price.latency_us + price.bandwidth_us > most_us) candidate.bounding_link = link_of(level, machine);
    most_us = std::max(most_us, price.latency_us + price.bandwidth_us);
    if (level.level >= 0 && crosses_hosts(level, machine)) network_us += price.bandwidth_us;
  }
  const double on_cores_us = sum.bandwidth_us - network_us + sum.reduction_us;
  sum.bandwidth_us -= hidden_us(network_us, on_cores_us, candidate.chunking.pieces, machine);
  return sum;
}

template <class Route>
double sum_over_most(const std::vector<Route>& routes) {
  double sum = 0, most = 0;
  for (const Route& route : routes) {
    sum += route.weight;
    most = std::max<double>(most, route.weight);
  }
  return sum / most;
}

// All routes work at once, each with its part of the bandwidth that the search found for them together: the longest chain on the
// heaviest route takes as long as if all of its bytes and the others' went over that bandwidth. Where data goes up trees and down
// again links carry it twice, whatever the chain is.
Price price_routed(Candidate& candidate, const Cost& cost, const JobMachine& machine, double chunk_bytes, Sharing with) {
  const LevelCost& level = cost.levels[0];
  const bool rings = candidate.algorithm->needs.routes == RouteKind::rings;
  const double gbps = rings ? machine.ring_gbps : machine.tree_gbps;
  const double at_once = rings ? sum_over_most(machine.routes.rings) : sum_over_most(machine.routes.trees);
  const double twice = !rings && candidate.algorithm->collective == Collective::all_reduce ? 2 * cost.chunks_per_block : 0;
  const double chunks = level.rounds == 0 ? 0 : std::max(static_cast<double>(level.path) * at_once, twice);
  candidate.rounds = level.rounds;
  candidate.bounding_link = machine.links.size() - 1;
  return {
      .latency_us = level.rounds * (machine.links.back().latency_us + machine.step_us * with.crowd),
      .bandwidth_us = chunks * chunk_bytes / (gbps * 1e3),
      .reduction_us = static_cast<double>(level.reduced) * chunk_bytes * reduction_us_per_byte(candidate, machine) * with.crowd};
}

}  // namespace

const Costs::Entry& Costs::of(const Algorithm& row, const Chunking& chunking, Rank root, const JobMachine& machine) {
  if (root != root_) entries_.clear();
  root_ = root;
  const std::tuple key{&row, chunking.pieces, chunking.radix};
  if (const auto known = entries_.find(key); known != entries_.end()) return known->second;
  Shape shape = shape_on(machine, root);
  Entry entry{row.cost(shape, chunking)};
  for (const Pods& pod : machine.pods) {
    shape.pod = pod.size;
    entry.carried.push_back(row.cost(shape, chunking).levels.front().carried);
  }
  return entries_.emplace(key, std::move(entry)).first->second;
}

void price(Candidate& candidate, const SelectRequest& request, const JobMachine& machine, Costs& costs) {
  const Costs::Entry& entry = costs.of(*candidate.algorithm, candidate.chunking, request.root, machine);
  const Cost& cost = entry.cost;
  const double chunk_bytes = static_cast<double>(request.block_bytes) / cost.chunks_per_block;
  const double crowd = machine.oversubscribed() ? static_cast<double>(machine.core_sharers) / machine.cores_per_host : 1;
  const bool routed = candidate.algorithm->needs.routes != RouteKind::none;
  const auto price_it = routed ? price_routed : candidate.published ? price_published : price_sent;
  const Price alone = price_it(candidate, cost, machine, chunk_bytes, {.shared = false});
  candidate.total_us = price_it(candidate, cost, machine, chunk_bytes, {.crowd = crowd}).total_us();
  candidate.bounding_pod = 0;
  for (std::size_t i = 0; i < machine.pods.size(); ++i) {
    const Uplinks uplinks{machine.pods[i], entry.carried[i]};
    const Sharing with{.crowd = crowd, .uplinks = &uplinks};
    const double us = price_it(candidate, cost, machine, chunk_bytes, with).total_us();
    if (us > candidate.total_us) candidate.bounding_pod = uplinks.pod.size;
    candidate.total_us = std::max(candidate.total_us, us);
  }
  candidate.latency_us = alone.latency_us;
  candidate.bandwidth_us = alone.bandwidth_us;
  candidate.reduction_us = alone.reduction_us;
  candidate.contention_us = std::max(0.0, candidate.total_us - alone.total_us());
}

}  // namespace tutti
