#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "topology/gpus.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

// For every node, how many of its kind come before it in its host.
std::vector<int> ordinals(const Topology& topology) {
  std::vector<int> result(topology.nodes.size());
  std::vector<NodeId> machine(topology.nodes.size(), kNoNode);
  std::unordered_map<NodeId, std::array<int, kNodeKinds>> seen;
  for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
    const Node& node = topology.nodes[id];
    machine[id] = node.parent == kNoNode ? static_cast<NodeId>(id) : machine[static_cast<std::size_t>(node.parent)];
    result[id] = seen[machine[id]][static_cast<std::size_t>(node.kind)]++;
  }
  return result;
}

int ordinal_around(const Topology& topology, const std::vector<int>& ordinal, NodeId node, NodeKind kind) {
  const NodeId found = enclosing(topology, node, kind);
  return found == kNoNode ? -1 : ordinal[static_cast<std::size_t>(found)];
}

RankLocation location_of_core(const Topology& topology, const std::vector<int>& ordinal, NodeId core, int host) {
  RankLocation location;
  location.host = host;
  location.package = ordinal_around(topology, ordinal, core, NodeKind::package);
  location.numa = ordinal_around(topology, ordinal, core, NodeKind::numa);
  location.l3 = ordinal_around(topology, ordinal, core, NodeKind::l3);
  location.core = ordinal_around(topology, ordinal, core, NodeKind::core);
  location.cpus = topology.nodes[static_cast<std::size_t>(core)].cpus;
  return location;
}

// leaf_of_hosts(), but that one switch around all tells no hosts apart.
std::vector<int> leaves(const Topology& topology) {
  std::vector<int> leaf = leaf_of_hosts(topology);
  if (std::ranges::all_of(leaf, [&](int l) { return l == leaf.front(); })) std::ranges::fill(leaf, -1);
  return leaf;
}

void plug_in(std::vector<RankLocation>& ranks, const Topology& network) {
  const std::vector<int> leaf = leaves(network);
  for (RankLocation& rank : ranks) rank.leaf = leaf[static_cast<std::size_t>(rank.host)];
}

// One location per usable core, host after host as their machines come.
std::vector<RankLocation> places(const Topology& topology) {
  const std::vector<int> ordinal = ordinals(topology), host = host_of_nodes(topology);
  std::vector<RankLocation> cores;
  for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
    const Node& node = topology.nodes[id];
    if (node.kind != NodeKind::core || node.cpus.empty()) continue;
    cores.push_back(location_of_core(topology, ordinal, static_cast<NodeId>(id), host[id]));
  }
  std::stable_sort(cores.begin(), cores.end(), [](const auto& a, const auto& b) { return a.host < b.host; });
  return cores;
}

// Keeps what two locations agree on.
void narrow(RankLocation& location, const RankLocation& other) {
  for (int RankLocation::*place : {&RankLocation::package, &RankLocation::numa, &RankLocation::l3, &RankLocation::core}) {
    if (location.*place != other.*place) location.*place = -1;
  }
}

bool intersect(std::span<const int> a, std::span<const int> b) {
  return std::any_of(a.begin(), a.end(), [&](int cpu) { return std::binary_search(b.begin(), b.end(), cpu); });
}

}  // namespace

RankLocation locate(const Topology& topology, std::span<const int> cpus, int host) {
  RankLocation location;
  bool found = false;
  const std::vector<int> ordinal = ordinals(topology);
  for (const NodeId core : usable_cores(topology, 0)) {
    if (!intersect(topology.nodes[static_cast<std::size_t>(core)].cpus, cpus)) continue;
    const RankLocation here = location_of_core(topology, ordinal, core, host);
    if (found) {
      narrow(location, here);
    } else {
      location = here;
    }
    found = true;
  }
  location.host = host;
  location.cpus.assign(cpus.begin(), cpus.end());
  return location;
}

Result<std::vector<RankLocation>> place(const Topology& topology, int ranks) {
  if (ranks < 1) return Error(Code::invalid_argument, fmt::format("{} ranks cannot be placed; at least 1 is needed", ranks));
  const std::vector<RankLocation> cores = places(topology);
  if (cores.empty()) return Error(Code::invalid_argument, "the topology has no core that may be used");
  std::vector<RankLocation> placed;
  placed.reserve(static_cast<std::size_t>(ranks));
  const int count = static_cast<int>(cores.size());
  for (int rank = 0; rank < ranks; ++rank) {
    RankLocation location = cores[static_cast<std::size_t>(rank % count)];
    const int sharers = (ranks - 1 - rank % count) / count + 1;
    const int pus = static_cast<int>(location.cpus.size());
    if (sharers > 1) location.cpus = {location.cpus[static_cast<std::size_t>(rank / count % pus)]};
    location.oversubscribed = sharers > pus;
    placed.push_back(std::move(location));
  }
  // As place_on_hosts(), where cores are hosts.
  const auto host_of_its_own = [rank = 0](const RankLocation& at) mutable { return at.host == rank++; };
  if (std::ranges::all_of(placed, host_of_its_own)) plug_in(placed, topology);
  return placed;
}

Result<std::vector<RankLocation>> place_on_hosts(const Topology& topology, int ranks) {
  std::vector<RankLocation> placed;
  for (RankLocation& core : places(topology))
    if (placed.empty() || placed.back().host != core.host) placed.push_back(std::move(core));
  if (ranks < 1 || static_cast<std::size_t>(ranks) > placed.size())
    return Error(Code::invalid_argument, fmt::format("{} ranks, one per host, on {} host{} with cores that may be used", ranks,
                                                     placed.size(), placed.size() == 1 ? "" : "s"));
  placed.resize(static_cast<std::size_t>(ranks));
  plug_in(placed, topology);
  return placed;
}

std::vector<RankLocation> locations(const Topology& topology, std::span<const NodeId> ends) {
  const std::vector<int> ordinal = ordinals(topology), host = host_of_nodes(topology);
  const std::vector<int> nvlink = nvlink_groups(topology, ends), leaf = leaf_of_hosts(topology);
  std::vector<RankLocation> result;
  for (std::size_t r = 0; r < ends.size(); ++r) {
    const auto id = static_cast<std::size_t>(ends[r]);
    RankLocation here = location_of_core(topology, ordinal, ends[r], host[id]);
    here.nvlink = nvlink[r];
    here.leaf = leaf[static_cast<std::size_t>(host[id])];
    if (topology.nodes[id].kind == NodeKind::gpu) here.gpu = ordinal[id];
    // What NVLink joins is as near as can be, wherever it is plugged in.
    if (here.nvlink >= 0) here.package = here.numa = here.l3 = -1;
    result.push_back(std::move(here));
  }
  return result;
}

Level nearest_level(const RankLocation& a, const RankLocation& b) {
  const auto same = [](int x, int y) { return x >= 0 && x == y; };
  if (same(a.nvlink, b.nvlink)) return Level::nvlink;
  if (a.host != b.host) return same(a.leaf, b.leaf) ? Level::leaf : Level::network;
  if (same(a.core, b.core)) return Level::core;
  if (same(a.l3, b.l3)) return Level::l3;
  if (same(a.numa, b.numa)) return Level::numa;
  if (same(a.package, b.package)) return Level::package;
  return Level::host;
}

namespace {

// Splits every group by the ranks' place at one more level. A place that is not known is a group of its own.
std::vector<int> refine(const std::vector<int>& coarse, std::span<const RankLocation> ranks, int RankLocation::*place,
                        int& groups) {
  std::unordered_map<std::uint64_t, int> label;
  std::vector<int> fine(coarse.size());
  groups = 0;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    const int here = ranks[r].*place;
    if (here < 0) {
      fine[r] = groups++;
      continue;
    }
    const auto key = static_cast<std::uint64_t>(coarse[r]) << 32 | static_cast<std::uint32_t>(here);
    const auto [found, fresh] = label.try_emplace(key, groups);
    if (fresh) ++groups;
    fine[r] = found->second;
  }
  return fine;
}

struct Inward {
  Level level;
  int RankLocation::*place;
  int groups;  // of this level alone, within hosts
};

// From the host inward. NUMA nodes lie in packages or packages in NUMA nodes, L3s in NUMA nodes or the other way round:
// the coarser one is the one with fewer groups.
std::vector<Inward> steps_inward(const std::vector<int>& hosts, std::span<const RankLocation> ranks) {
  std::vector<Inward> steps = {{Level::package, &RankLocation::package, 0},
                               {Level::nvlink, &RankLocation::nvlink, 0},
                               {Level::numa, &RankLocation::numa, 0},
                               {Level::l3, &RankLocation::l3, 0}};
  for (Inward& step : steps) refine(hosts, ranks, step.place, step.groups);
  std::stable_sort(steps.begin(), steps.end(), [](const Inward& a, const Inward& b) { return a.groups < b.groups; });
  steps.push_back({Level::core, &RankLocation::core, 0});
  return steps;
}

// Whether NVLink joins hosts: what they are is of no account then to who is in it.
bool nvlink_joins_hosts(std::span<const RankLocation> ranks) {
  std::unordered_map<int, int> host;
  return std::any_of(ranks.begin(), ranks.end(), [&](const RankLocation& r) {
    return r.nvlink >= 0 && host.try_emplace(r.nvlink, r.host).first->second != r.host;
  });
}

}  // namespace

std::vector<LevelGroups> levels(std::span<const RankLocation> ranks) {
  std::vector<LevelGroups> result;
  std::vector<int> coarse(ranks.size(), 0);
  int coarse_groups = 1;
  const auto add = [&](Level level, std::vector<int> fine, int groups) {
    // Every rank alone: nothing is known, or nothing is shared; what lies further in may still be.
    if (groups == static_cast<int>(ranks.size())) return;
    // As many groups as the level around it, and nested in it: the same groups. NVLink says more than the host does.
    if (groups == coarse_groups) {
      if (level == Level::nvlink && !result.empty() && result.back().level == Level::host) result.back().level = level;
      return;
    }
    result.push_back({level, fine});
    coarse = std::move(fine);
    coarse_groups = groups;
  };
  const auto add_place = [&](Level level, int RankLocation::*place) {
    int groups = 0;
    std::vector<int> fine = refine(coarse, ranks, place, groups);
    add(level, std::move(fine), groups);
  };
  add_place(Level::leaf, &RankLocation::leaf);
  if (nvlink_joins_hosts(ranks)) {
    add_place(Level::nvlink, &RankLocation::nvlink);
  } else {
    int host_groups = 0;
    std::vector<int> hosts = refine(coarse, ranks, &RankLocation::host, host_groups);
    const std::vector<Inward> inward = steps_inward(hosts, ranks);
    add(Level::host, std::move(hosts), host_groups);
    for (const Inward& step : inward) add_place(step.level, step.place);
  }
  std::reverse(result.begin(), result.end());
  return result;
}

const Topology* described_network(const Placement& placement) {
  if (placement.machines.size() != 1) return nullptr;
  const int described = hosts(placement.machines.front());
  int seen = 0;  // hosts, numbered as they come
  for (const RankLocation& rank : placement.ranks) {
    if (rank.host > seen) return nullptr;
    seen = std::max(seen, rank.host + 1);
  }
  return described > 1 && described == seen ? &placement.machines.front() : nullptr;
}

void plug_in(Placement& placement) {
  if (const Topology* network = described_network(placement)) plug_in(placement.ranks, *network);
}

std::vector<Rank> describing_ranks(std::span<const std::uint64_t> fingerprints) {
  std::unordered_map<std::uint64_t, Rank> first;
  std::vector<Rank> result;
  for (std::size_t r = 0; r < fingerprints.size(); ++r) {
    if (first.try_emplace(fingerprints[r], static_cast<Rank>(r)).second) result.push_back(static_cast<Rank>(r));
  }
  return result;
}

Result<Placement> assemble(std::vector<RankLocation> ranks, std::span<const std::uint64_t> fingerprints,
                           std::span<const std::string> machine_json) {
  const std::vector<Rank> describing = describing_ranks(fingerprints);
  if (ranks.size() != fingerprints.size() || describing.size() != machine_json.size()) {
    return Error(Code::internal, fmt::format("{} locations, {} fingerprints, {} machines where {} are due", ranks.size(),
                                             fingerprints.size(), machine_json.size(), describing.size()));
  }
  Placement placement;
  std::unordered_map<std::uint64_t, int> index;
  for (std::size_t i = 0; i < describing.size(); ++i) {
    const std::uint64_t announced = fingerprints[static_cast<std::size_t>(describing[i])];
    auto machine = topology_from_json(machine_json[i]);
    if (!machine) return Error(machine.because(fmt::format("the machine of rank {}", describing[i])));
    if (fingerprint(*machine) != announced) {
      return Error(Code::protocol,
                   fmt::format("the machine of rank {} has fingerprint {:016x}, but {:016x} was announced", describing[i],
                               fingerprint(*machine), announced),
                   describing[i]);
    }
    index.emplace(announced, static_cast<int>(i));
    placement.machines.push_back(std::move(*machine));
  }
  for (const std::uint64_t print : fingerprints) placement.machine_of_rank.push_back(index.at(print));
  placement.ranks = std::move(ranks);
  return placement;
}

Result<Placement> offline_placement(Topology topology, int ranks) {
  auto locations = place(topology, ranks);
  if (!locations) return std::move(locations.error());
  Placement placement;
  placement.ranks = std::move(*locations);
  placement.machine_of_rank.assign(placement.ranks.size(), 0);
  placement.machines.push_back(std::move(topology));
  return placement;
}

}  // namespace tutti
