#include <algorithm>
#include <functional>
#include <map>
#include <numeric>

#include "core/hash.h"
#include "select/select.h"

namespace tutti {

std::uint64_t hash(const JobMachine& m) {
  Hasher h;
  h.value(m.ranks).value(m.reduce_gbps).value(m.copy_gbps).value(m.step_us).value(m.turn_us);
  h.value(m.ranks_per_host).value(m.cores_per_host).value(m.core_sharers).value(m.boards);
  for (const auto level : m.level_names) h.value(level);
  for (const auto& grouping : m.levels)
    for (Rank r = 0; r < m.ranks; ++r) h.value(grouping.group_of(r));
  for (const Rank size : m.torus) h.value(size);
  for (const auto& link : m.links) h.value(link.latency_us).value(link.bandwidth_gbps);
  return h.result();
}

void lay_on_torus(JobMachine& machine, std::span<const int> dimensions) {
  const auto hosts = std::accumulate(dimensions.begin(), dimensions.end(), std::int64_t{1}, std::multiplies<>());
  machine.torus.clear();
  if (hosts == machine.ranks && machine.ranks > 1 && machine.ranks_per_host == 1)
    machine.torus.assign(dimensions.begin(), dimensions.end());
}

Result<JobMachine> describe_job(const Topology& topology, Rank ranks) {
  auto places = place(topology, ranks);
  if (!places) return std::move(places.error());
  JobMachine m;
  m.ranks = ranks;
  for (auto& level : levels(*places)) {
    m.levels.emplace_back(level.group_of);
    m.level_names.push_back(level.level);
    m.links.push_back(between(topology, level.level));
  }
  std::map<int, int> on_host;
  for (const auto& p : *places) ++on_host[p.host];
  m.links.push_back(between(topology, on_host.size() > 1 ? Level::network : Level::host));
  m.cores_per_host = INT32_MAX;
  for (const auto& [host, count] : on_host) {
    m.ranks_per_host = std::max(m.ranks_per_host, count);
    m.cores_per_host = std::min(m.cores_per_host, available_cores(topology, host));
  }
  m.core_sharers = m.ranks_per_host;
  m.boards = on_host.size() == 1 && worth_boards(ranks);
  return m;
}

}  // namespace tutti
