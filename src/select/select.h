// Which algorithm serves a call best on this machine, and why.
//
// Everything here is a pure function of values that are equal on all ranks, so all ranks choose alike; they prove it by
// comparing hash(JobMachine) when a communicator is made.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "algorithms/registry.h"
#include "tutti/topology.h"
#include "tutti/transport.h"

namespace tutti {

// Whether so many ranks, all of which reach each other's memory, publish: two have nobody else to tell.
[[nodiscard]] constexpr bool worth_boards(Rank ranks) noexcept { return ranks > 2 && ranks <= Board::kMostMembers; }

// What the choice depends on besides the call.
struct JobMachine {
  Rank ranks = 1;
  std::vector<Grouping> levels;    // innermost first; empty: flat
  std::vector<Level> level_names;  // one per entry of levels
  // links[i]: between ranks that share a group of levels[i] but none of levels[i-1]; one more than levels: between groups of the
  // outermost level (the whole communicator when there are no levels).
  std::vector<LinkParameters> links;
  std::vector<Rank> torus;  // dimensions (Shape::torus) where ranks are the nodes of one, each with its links to neighbours
  std::vector<LinkTuning> tuning;  // how bytes move over each of `links`, or nothing where that was not measured: only shown
  double reduce_gbps = 10;         // bytes of one operand combined per second, one core
  double copy_gbps = 20;           // bytes copied per second, one core
  double step_us = 0.05;           // what one step of a schedule costs the executor
  int ranks_per_host = 1;          // the most on any host
  int cores_per_host = 1;          // the fewest on any host
  int core_sharers = 1;  // ranks that run on the same cores, the most anywhere, whether they reach each other's memory or not
  double turn_us = 2;    // where ranks share cores: one turn of one rank on a core
  bool boards = false;   // more than two ranks, and all of them can publish to all others (Board)
  [[nodiscard]] bool oversubscribed() const noexcept { return core_sharers > cores_per_host; }
  [[nodiscard]] bool hosts_share_cores() const noexcept { return core_sharers > ranks_per_host; }  // containers, for example
};
[[nodiscard]] std::uint64_t hash(const JobMachine& machine);

struct SelectRequest {
  Collective collective = Collective::all_reduce;
  Rank root = 0;
  std::uint64_t block_bytes = 0;  // bytes of one block (all_reduce: of the vector; v-variants: the mean)
  bool commutative = true;
  bool equal_blocks = true;
  std::uint32_t element_bytes = 1;
  std::string_view forced = {};  // only this algorithm, where not empty
};

struct Candidate {
  const Algorithm* algorithm = nullptr;
  Chunking chunking = {};
  bool published = false;  // instead of sent
  double total_us = 0, latency_us = 0, bandwidth_us = 0, reduction_us = 0;
  std::uint32_t rounds = 0;
  std::string refused = {};  // empty: may be used
};

struct Selection {
  std::vector<Candidate> candidates;  // usable ones first, fastest first; then the refused ones
  [[nodiscard]] const Candidate& winner() const { return candidates.front(); }
};

// "ring"; "knomial, radix 4" where there is one.
[[nodiscard]] std::string name_with_radix(const Algorithm& algorithm, const Chunking& chunking);

// Why this row cannot serve the call; empty where it can.
[[nodiscard]] std::string refusal(const Algorithm& algorithm, const SelectRequest& request, const JobMachine& machine);

// Code::invalid_argument when a forced algorithm does not exist (names those that do) or cannot serve the call (says why).
Result<Selection> select(const SelectRequest& request, const JobMachine& machine);

[[nodiscard]] std::string names_of_algorithms(Collective collective);  // "direct, ring"

// For a person, and as JSON for a program.
[[nodiscard]] std::string render(const Selection& selection, const SelectRequest& request, const JobMachine& machine);
[[nodiscard]] std::string to_json(const Selection& selection, const SelectRequest& request, const JobMachine& machine);

// The machine of a job that is only described: estimates instead of measurements.
Result<JobMachine> describe_job(const Topology& topology, Rank ranks);
// The ranks are the nodes of a torus of hosts with these dimensions, the last one fastest, where there is one rank on each host.
void lay_on_torus(JobMachine& machine, std::span<const int> dimensions);

// Algorithm overrides: "ring" or "all_reduce:ring,broadcast:knomial". Empty result for a collective: not forced.
class AlgorithmOverrides {
 public:
  static Result<AlgorithmOverrides> parse(std::string_view text);  // unknown names are errors that list the known ones
  [[nodiscard]] std::string_view forced(Collective collective) const;

 private:
  std::vector<std::string> by_collective_;
};

}  // namespace tutti
