#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "schedule/hash_shape.h"
#include "select/select.h"
#include "topology/gpus.h"
#include "tutti/route_search.h"

namespace tutti {

namespace {

Hasher& add_layout(Hasher& h, const JobMachine& m) {
  h.value(m.ranks).value(m.ranks_per_host).value(m.cores_per_host).value(m.core_sharers).value(m.boards);
  h.value(m.on_gpus).value(m.rails_per_host);
  for (const auto level : m.level_names) h.value(level);
  add_groups(h, m.levels, m.ranks);
  for (const Rank size : m.torus) h.value(size);
  for (const Pods& pods : m.pods) h.value(pods.size).value(pods.uplinks);
  return h;
}

}  // namespace

std::uint64_t hash_of_layout(const JobMachine& m) {
  Hasher h;
  return add_layout(h, m).result();
}

std::uint64_t hash(const JobMachine& m) {
  Hasher h;
  add_layout(h, m).value(m.reduce_gbps).value(m.copy_gbps).value(m.step_us).value(m.turn_us);
  for (const auto& link : m.links) h.value(link.latency_us).value(link.bandwidth_gbps);
  add_routes(h.value(m.ring_gbps).value(m.tree_gbps), m.routes);
  for (const Algorithm* a : m.algorithms.rows()) h.value(a->collective).text(a->name);
  for (const auto& one : m.measured.all()) {
    const Variant& v = one.variant;
    h.value(v.collective).text(v.algorithm).value(v.chunking.pieces).value(v.chunking.radix).value(v.published);
    h.value(one.block_bytes).value(one.us);
  }
  return h.result();
}

Shape shape_on(const JobMachine& machine, Rank root, bool in_place) {
  return {.ranks = machine.ranks,
          .root = root,
          .in_place = in_place,
          .levels = machine.levels.empty() ? nullptr : &machine.levels,
          .routes = &machine.routes,
          .torus = machine.torus};
}

namespace {

// What a GPU copies and combines, in bytes of the result: it moves two and three times as many, at the 1.6 TB/s that BabelStream
// reaches on an A100.
constexpr double kGpuCopyGbps = 800, kGpuReduceGbps = 530;

void add_levels(JobMachine& m, const std::vector<LevelGroups>& all) {
  for (const auto& level : all) {
    m.levels.emplace_back(level.group_of);
    m.level_names.push_back(level.level);
  }
}

// NICs that serve ranks of one host, the fewest anywhere.
int rails_per_host(const std::vector<Rail>& rails, const std::vector<RankLocation>& places) {
  std::map<int, std::set<NodeId>> nics;
  for (std::size_t r = 0; r < rails.size(); ++r) nics[places[r].host].insert(rails[r].nic);
  std::size_t fewest = rails.size();
  for (const auto& [host, used] : nics) fewest = std::min(fewest, used.size());
  return static_cast<int>(fewest);
}

// What the library would take: nobody has tried.
LinkCarrier between_described_hosts(const Topology& topology, HostLinks links_used, bool on_gpus) {
  if (links_used == HostLinks::fastest) return {.transport = "tcp", .why = "expected: verbs is left out (TUTTI_TRANSPORT)"};
  if (expected_links(topology) == HostLinks::fastest)
    return {.transport = "tcp", .why = "expected: no RDMA device is known on every host"};
  const int links = on_gpus ? 1 : links_side_by_side(topology);  // a path between two GPUs has one link on each host
  return {.transport = "verbs",
          .over = links > 1 ? fmt::format("{} links of a host side by side", links) : "",
          .why = "expected: every host has an RDMA device, by its name or its latency"};
}

// Whether ranks that share a group of `level` are on several hosts.
bool spans_hosts(const Grouping& level, const std::vector<RankLocation>& places) {
  for (Rank r = 0; r < static_cast<Rank>(places.size()); ++r) {
    const Rank leader = level.leader(level.group_of(r));
    if (places[static_cast<std::size_t>(r)].host != places[static_cast<std::size_t>(leader)].host) return true;
  }
  return false;
}

// Between GPUs of one host what does it is no transport.
void expect_carriers(JobMachine& m, const Topology& topology, const std::vector<RankLocation>& places, HostLinks links) {
  std::vector<LinkCarrier> inside;
  if (!m.on_gpus) inside.push_back({.transport = "shm", .why = "expected: ranks of one host share memory"});
  const Grouping all(std::vector<int>(places.size(), 0));
  for (std::size_t i = 0; i < m.links.size(); ++i) {
    const bool outside = spans_hosts(i < m.levels.size() ? m.levels[i] : all, places);
    m.carriers.push_back(outside ? std::vector{between_described_hosts(topology, links, m.on_gpus)} : inside);
  }
}

// Between the outermost groups of ranks.
Level outermost(const Topology& topology, const std::vector<RankLocation>& places) {
  const std::vector<int> leaf = leaf_of_hosts(topology);
  const auto leaf_at = [&](const RankLocation& place) { return leaf[static_cast<std::size_t>(place.host)]; };
  const RankLocation& first = places.front();
  if (std::ranges::all_of(places, [&](const auto& place) { return place.host == first.host; })) return Level::host;
  const bool one_leaf =
      leaf_at(first) >= 0 && std::ranges::all_of(places, [&](const auto& place) { return leaf_at(place) == leaf_at(first); });
  return one_leaf ? Level::leaf : Level::network;
}

Result<JobMachine> describe_on_gpus(const Topology& topology, Rank ranks, HostLinks links) {
  auto ends = place_on_gpus(topology, ranks);
  if (!ends) return std::move(ends.error());
  auto found = search_routes(topology, *ends);
  if (!found) return std::move(found.error());
  const std::vector<RankLocation> places = locations(topology, *ends);
  JobMachine m;
  m.ranks = ranks;
  m.on_gpus = true;
  add_levels(m, found->levels);
  m.links = between(topology, *ends, found->levels);
  // Hosts that NVLink joins are one to the network.
  std::map<int, int> nvlink_of_host, on_host;
  for (const auto& p : places) {
    const int host = p.nvlink < 0 ? p.host : nvlink_of_host.try_emplace(p.nvlink, p.host).first->second;
    m.ranks_per_host = std::max(m.ranks_per_host, ++on_host[host]);
  }
  m.core_sharers = m.cores_per_host = m.ranks_per_host;
  m.rails_per_host = rails_per_host(found->rails, places);
  // A single ring is what the row `ring` runs over, in the order of ranks.
  if (found->rings.size() > 1) {
    m.routes = routes(*found);
    m.ring_gbps = found->ring_gbps();
    m.tree_gbps = found->tree_gbps();
  }
  m.reduce_gbps = kGpuReduceGbps;
  m.copy_gbps = kGpuCopyGbps;
  lay_on_torus(m, torus_dimensions(topology));
  lay_in_pods(m, tapered_pods(topology, HostLinks::fastest));
  expect_carriers(m, topology, places, links);
  return m;
}

}  // namespace

void lay_on_torus(JobMachine& machine, std::span<const int> dimensions) {
  const auto hosts = std::accumulate(dimensions.begin(), dimensions.end(), std::int64_t{1}, std::multiplies<>());
  machine.torus.clear();
  if (hosts != machine.ranks || machine.ranks < 2 || machine.ranks_per_host != 1) return;
  machine.torus.assign(dimensions.begin(), dimensions.end());
  auto rings = torus_rings(machine.torus);
  if (rings.size() < 2) return;
  machine.routes = {};
  machine.ring_gbps = static_cast<double>(rings.size()) * machine.links.back().bandwidth_gbps;
  for (auto& order : rings) machine.routes.rings.push_back({std::move(order), 1});
}

void lay_in_pods(JobMachine& machine, std::span<const Pods> pods) {
  machine.pods.clear();
  if (!machine.torus.empty()) return;  // whose links are not below these switches
  for (const Pods& of_hosts : pods)
    if (const Rank ranks = of_hosts.size * machine.ranks_per_host; ranks < machine.ranks)
      machine.pods.push_back({ranks, of_hosts.uplinks});
}

Result<JobMachine> describe_job(const Topology& topology, Rank ranks, Seats seats, HostLinks links) {
  if (seats == Seats::gpus) return describe_on_gpus(topology, ranks, links);
  auto places = seats == Seats::hosts ? place_on_hosts(topology, ranks) : place(topology, ranks);
  if (!places) return std::move(places.error());
  JobMachine m;
  m.ranks = ranks;
  const std::vector<LevelGroups> all = levels(*places);
  add_levels(m, all);
  for (const auto& level : all) m.links.push_back(between(topology, level.level, links));
  std::map<int, int> on_host;
  for (const auto& p : *places) ++on_host[p.host];
  m.links.push_back(between(topology, outermost(topology, *places), links));
  m.cores_per_host = INT32_MAX;
  for (const auto& [host, count] : on_host) {
    m.ranks_per_host = std::max(m.ranks_per_host, count);
    m.cores_per_host = std::min(m.cores_per_host, available_cores(topology, host));
  }
  m.core_sharers = m.ranks_per_host;
  m.boards = on_host.size() == 1 && worth_boards(ranks);
  lay_on_torus(m, torus_dimensions(topology));
  lay_in_pods(m, tapered_pods(topology, links));
  expect_carriers(m, topology, *places, links);
  return m;
}

}  // namespace tutti
