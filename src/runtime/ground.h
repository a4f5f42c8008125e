// What a rank has found out about its machine and what that costs; parts of a job take it from there.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "core/config.h"
#include "select/select.h"
#include "select/tuning_file.h"

namespace tutti {

struct Ground {
  Topology topology;
  std::vector<int> binding;
  std::array<LinkParameters, kLevels> links{};
  std::array<LinkParameters, kLevels> estimates{};  // what `links` were before they were measured
  std::array<LinkTuning, kLevels> tuning{};
  double reduce_gbps = 10, copy_gbps = 20;
  bool measured = false;                      // these four
  HostLinks host_links = HostLinks::fastest;  // that carry messages between hosts
  int core_sharers = 1;                       // ranks on the same cores: of the whole job
  TuningFile tunings;                         // of this machine: calls measured earlier

  static Result<Ground> look(const Config& config);
};

// Ranks with equal ones compete for the same cores, in whatever containers they are.
[[nodiscard]] std::uint64_t hash_of_cores(const Topology& topology);

// The machine as the selector sees it, in steps: who sits where, what it costs to reach each other there, and, where a
// description says it and ranks follow each other host by host, how their hosts are joined.
[[nodiscard]] JobMachine seats_of(const Placement& placement, int core_sharers);
[[nodiscard]] Ground estimates_of(const Ground& ground);  // as if nothing had been measured
void price(JobMachine& machine, const Placement& placement, const Ground& ground);
void lay_on_network(JobMachine& machine, const Placement& placement, HostLinks links, bool warns);

// Of machines with these fingerprints, in whatever order and number.
[[nodiscard]] std::uint64_t hash_of_machines(std::span<const std::uint64_t> fingerprints);

// What has been measured on these machines. A file that somebody has named must be one of them.
Result<TuningFile> read_tuning(const Config& config, std::uint64_t machine);
// Those of this layout.
[[nodiscard]] Measurements measurements_of(const TuningFile& tunings, const TunedLayout& here);

}  // namespace tutti
