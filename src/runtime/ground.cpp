#include "runtime/ground.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "core/hash.h"
#include "core/host.h"
#include "core/log.h"

namespace tutti {

Result<Ground> Ground::look(const Config& config) {
  // Ranks may be threads of one process, and hwloc's own libraries (libxml2, libudev) start up without locks.
  static std::mutex discovery;
  const std::lock_guard one_at_a_time(discovery);
  Ground ground;
  auto topology = config.is_set(Var::topology) ? load_topology(config.text(Var::topology)) : discover();
  if (!topology) return topology.because(config.is_set(Var::topology) ? config.source(Var::topology) : "looking at this machine");
  ground.topology = std::move(*topology);
  auto binding = current_binding();
  if (!binding) return binding.because("asking for this process's binding");
  ground.binding = std::move(*binding);
  return ground;
}

std::uint64_t hash_of_cores(const Topology& topology) {
  Hasher hasher;
  hasher.text(boot_id());
  for (const Node& node : topology.nodes)
    for (const int cpu : node.cpus) hasher.value(cpu);
  return hasher.result();
}

JobMachine seats_of(const Placement& placement, int core_sharers) {
  JobMachine machine;
  machine.ranks = static_cast<Rank>(placement.ranks.size());
  for (auto& level : levels(placement.ranks)) {
    machine.levels.emplace_back(level.group_of);
    machine.level_names.push_back(level.level);
  }
  std::map<int, int> on_host;
  for (const auto& place : placement.ranks) ++on_host[place.host];
  for (const auto& [host, count] : on_host) machine.ranks_per_host = std::max(machine.ranks_per_host, count);
  machine.cores_per_host = INT32_MAX;
  for (const auto& m : placement.machines) machine.cores_per_host = std::min(machine.cores_per_host, available_cores(m));
  machine.core_sharers = core_sharers;
  return machine;
}

Ground estimates_of(const Ground& ground) {
  Ground estimated;
  estimated.links = ground.estimates;
  return estimated;
}

void price(JobMachine& machine, const Placement& placement, const Ground& ground) {
  static constexpr LinkTuning kNoOtherWay{.mapped_from = LinkTuning::kNever, .placed_from = LinkTuning::kNever};
  // Levels that make no difference here are left out, those that are nearest to what was measured among them.
  int inside = -1;
  const auto add_link = [&](Level outermost) {
    auto at = static_cast<std::size_t>(outermost);
    for (int l = static_cast<int>(outermost); l > inside; --l)
      if (ground.links[static_cast<std::size_t>(l)].origin == Origin::system) {
        at = static_cast<std::size_t>(l);
        break;
      }
    machine.links.push_back(ground.links[at]);
    machine.tuning.push_back(ground.links[at].origin == Origin::system ? ground.tuning[at] : kNoOtherWay);
    inside = static_cast<int>(outermost);
  };
  for (const Level level : machine.level_names) add_link(level);
  std::set<int> hosts;
  for (const auto& place : placement.ranks) hosts.insert(place.host);
  add_link(hosts.size() > 1 ? Level::network : Level::host);
  machine.reduce_gbps = ground.reduce_gbps;
  machine.copy_gbps = ground.copy_gbps;
  if (ground.measured) machine.core_origin = Origin::system;
  if (machine.oversubscribed()) machine.tuning.clear();  // it was not measured
}

namespace {

// Who describes hosts of a job means something by it.
void warn_of_unused(const Placement& placement) {
  const Topology& first = placement.machines.front();
  if (hosts(first) < 2) return;
  std::set<int> seen;
  for (const RankLocation& rank : placement.ranks) seen.insert(rank.host);
  log(LogLevel::warn, fmt::format("TUTTI_TOPOLOGY describes {} hosts; the job has {}{}: how they are joined is not known to it",
                                  hosts(first), seen.size(),
                                  placement.machines.size() > 1 ? ", and not all ranks describe the same"
                                                                : ", or ranks that do not follow each other host by host"));
}

}  // namespace

void lay_on_network(JobMachine& machine, const Placement& placement, HostLinks links, bool warns) {
  const Topology* network = described_network(placement);
  Rank r = 0;
  const bool by_host =
      std::ranges::all_of(placement.ranks, [&](const auto& at) { return at.host == r++ / machine.ranks_per_host; });
  if (network == nullptr || !by_host) {
    if (warns) warn_of_unused(placement);
    return;
  }
  lay_on_torus(machine, torus_dimensions(*network));
  lay_in_pods(machine, tapered_pods(*network, links));
}

std::uint64_t hash_of_machines(std::span<const std::uint64_t> fingerprints) {
  Hasher all;
  for (const std::uint64_t one : std::set<std::uint64_t>(fingerprints.begin(), fingerprints.end())) all.value(one);
  return all.result();
}

Result<TuningFile> read_tuning(const Config& config, std::uint64_t machine) {
  const std::string& setting = config.text(Var::tuning);
  const bool named = setting != "auto";
  const std::string path = named ? setting : usual_tuning_path();
  if (setting == "off" || path.empty() || (!named && access(path.c_str(), R_OK) != 0)) return TuningFile{};
  auto file = TuningFile::read(path);
  if (!file && named) return file.because(config.source(Var::tuning));
  if (!file) {
    log(LogLevel::warn, fmt::format("{}; going on without it", file.error().to_string()));
    return TuningFile{};
  }
  const auto elsewhere = [&](const auto& one) { return one.machine != machine || one.version != TUTTI_VERSION; };
  std::erase_if(file->layouts, elsewhere);
  std::erase_if(file->hosts, elsewhere);
  if (file->empty() && named)
    return Error(
        Code::environment,
        fmt::format("{}: nothing in '{}' was measured on this machine ({:016x}) by tutti {}: measure here with tutti tune",
                    config.source(Var::tuning), path, machine, TUTTI_VERSION));
  for (TunedLayout& one : file->layouts) one.about = path;
  return file;
}

Measurements measurements_of(const TuningFile& tunings, const TunedLayout& here) {
  for (const TunedLayout& one : tunings.layouts) {
    if (!one.same_place(here)) continue;
    log(LogLevel::info, fmt::format("{} measurements of whole calls from '{}'", one.measured.size(), one.about));
    return Measurements(one.measured, one.about);
  }
  if (!tunings.layouts.empty())
    log(LogLevel::info, fmt::format("'{}' has no measurements of this layout ({})", tunings.layouts.front().about, here.about));
  return {};
}

}  // namespace tutti
