// Which algorithm serves a call best on this machine, and why.
//
// Everything here is a pure function of values that are equal on all ranks, so all ranks choose alike; they prove it by
// comparing hash(JobMachine) when a communicator is made.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "algorithms/registry.h"
#include "select/contract.h"
#include "select/measurements.h"
#include "tutti/routes.h"
#include "tutti/topology.h"
#include "tutti/transport.h"

namespace tutti {

// Whether so many ranks, all of which reach each other's memory, publish: two have nobody else to tell.
[[nodiscard]] constexpr bool worth_boards(Rank ranks) noexcept { return ranks > 2 && ranks <= Board::kMostMembers; }

// Which transport carries messages between ranks, and why this one: for people.
struct LinkCarrier {
  std::string transport = {};  // empty: none does
  std::string over = {};       // what of the machine it uses; empty: nothing that has a name
  std::string why = {};        // it is this one
  std::uint64_t pairs = 0;     // of ranks; 0: of a job that does not run
  friend bool operator==(const LinkCarrier&, const LinkCarrier&) = default;
};

// What the choice depends on besides the call.
struct JobMachine {
  Rank ranks = 1;
  std::vector<Grouping> levels;    // innermost first; empty: flat
  std::vector<Level> level_names;  // one per entry of levels
  // links[i]: between ranks that share a group of levels[i] but none of levels[i-1]; one more than levels: between groups of the
  // outermost level (the whole communicator when there are no levels).
  std::vector<LinkParameters> links;
  std::vector<Rank> torus;  // dimensions (Shape::torus) where ranks are the nodes of one, each with its links to neighbours
  std::vector<Pods> pods;   // of ranks, below switches whose way up carries less than what is below them; innermost first
  std::vector<LinkTuning> tuning;  // how bytes move over each of `links`, or nothing where that was not measured: only shown
  std::vector<std::vector<LinkCarrier>> carriers;  // of each of `links`, or nothing where that is not known: only shown
  std::string adoption;                            // which buffers are adopted (tutti/memory.h), or nothing: only shown
  double reduce_gbps = 10;                         // bytes of one operand combined per second, one core
  double copy_gbps = 20;                           // bytes copied per second, one core
  Origin core_origin = Origin::estimate;           // who says these two
  double step_us = 0.05;                           // what one step of a schedule costs the executor
  int ranks_per_host = 1;                          // the most on any host
  int cores_per_host = 1;                          // the fewest on any host
  int core_sharers = 1;  // ranks that run on the same cores, the most anywhere, whether they reach each other's memory or not
  double turn_us = 2;    // where ranks share cores: one turn of one rank on a core
  bool boards = false;   // more than two ranks, and all of them can publish to all others (Board)
  bool on_gpus = false;  // one rank on each GPU; a host's cores are its GPUs then, and a host is what NVLink joins
  Routes routes;         // through the links of the machine; empty: not searched for, or nothing to gain
  double ring_gbps = 0, tree_gbps = 0;  // what the routes carry together
  int rails_per_host = 1;               // links to the network that a host's ranks use side by side, the fewest anywhere
  Measurements measured;                // of whole calls, by an earlier job of this layout
  AlgorithmTable algorithms;            // to choose from
  [[nodiscard]] bool oversubscribed() const noexcept { return core_sharers > cores_per_host; }
  [[nodiscard]] bool hosts_share_cores() const noexcept { return core_sharers > ranks_per_host; }  // containers, for example
};
[[nodiscard]] std::uint64_t hash(const JobMachine& machine);
// Of what does not differ from one start to the next: how many ranks sit where, but not what calibration finds.
[[nodiscard]] std::uint64_t hash_of_layout(const JobMachine& machine);

// What algorithms are built for on this machine; refers to it.
[[nodiscard]] Shape shape_on(const JobMachine& machine, Rank root, bool in_place = false);

class Costs;  // select/cost.h

struct SelectRequest {
  Collective collective = Collective::all_reduce;
  Rank root = 0;
  std::uint64_t block_bytes = 0;  // bytes of one block (all_reduce: of the vector; v-variants: the mean)
  bool commutative = true;
  bool equal_blocks = true;
  std::uint32_t element_bytes = 1;
  Numerics numerics = {};
  std::string_view forced = {};     // only this algorithm (see ForcedAlgorithm), where not empty
  std::string_view forced_by = {};  // who says so
  std::string_view filter = {};     // only what it leaves (see AlgorithmFilter), where not empty
  std::string_view filtered_by = {};
};

struct Candidate {
  const Algorithm* algorithm = nullptr;
  Chunking chunking = {};
  bool published = false;  // instead of sent
  // As the model has it: as if every rank had a core and a link to itself, and what it costs that they are shared.
  double total_us = 0, latency_us = 0, bandwidth_us = 0, reduction_us = 0, contention_us = 0;
  std::uint32_t rounds = 0;
  std::size_t bounding_link = 0;  // index into JobMachine::links: where most of the time goes
  Rank bounding_pod = 0;          // ranks of a pod whose uplinks need longer for their bytes than ranks do; 0: none do
  // By measurements of this size, or of both next to it; of commutative operators and equal blocks only, as was measured.
  std::optional<double> measured_us = {};
  std::string refused = {};  // empty: may be used
  [[nodiscard]] double us() const { return measured_us.value_or(total_us); }
  [[nodiscard]] bool same_way(const Candidate& other) const {
    return algorithm == other.algorithm && chunking == other.chunking && published == other.published;
  }
};

struct Selection {
  // Usable ones first, fastest first; then the refused ones. Where some have been measured, these go before the others (the model
  // does not compete with the clock), and the first one is the one that the model prefers of those within 3 % of the fastest.
  std::vector<Candidate> candidates;
  [[nodiscard]] const Candidate& winner() const { return candidates.front(); }
};

// As an algorithm is forced, with its parameters.
[[nodiscard]] std::string forced_name(const Candidate& candidate);
// "ring"; "knomial, radix 4" where there is one.
[[nodiscard]] std::string name_with_radix(const Algorithm& algorithm, const Chunking& chunking);

// Why this row cannot serve the call; empty where it can.
[[nodiscard]] std::string refusal(const Algorithm& algorithm, const SelectRequest& request, const JobMachine& machine);

// Code::invalid_argument when a forced algorithm does not exist (names those that do) or cannot serve the call (says why).
// The selection refers to rows of the machine's table.
Result<Selection> select(const SelectRequest& request, const JobMachine& machine);
// The same, with what is known already of the rows' costs on this machine, and what it learns.
Result<Selection> select(const SelectRequest& request, const JobMachine& machine, Costs& costs);

// Every way to do the call, of all rows that can serve it, with its price; cheapest first, by the model alone.
[[nodiscard]] std::vector<Candidate> all_variants(const SelectRequest& request, const JobMachine& machine);

// Who wins from which size of a block on.
struct Crossover {
  std::uint64_t from_bytes = 0;
  Candidate winner;
};
inline constexpr std::uint64_t kMostCrossoverBytes = 1u << 30;
// From 0 to kMostCrossoverBytes; changes of pieces or radix alone are not counted. Found by doubling, then by halving: a winner
// that is gone again before the size has doubled may be overlooked. Empty where nothing can serve the call.
[[nodiscard]] std::vector<Crossover> crossovers(const SelectRequest& request, const JobMachine& machine);

// "64 ranks, 4 host groups; at most 16 on a host of 16 cores"
[[nodiscard]] std::string describe_ranks(const JobMachine& machine);
// For a person, and as JSON for a program.
[[nodiscard]] std::string render(const Selection& selection, const SelectRequest& request, const JobMachine& machine);
[[nodiscard]] std::string to_json(const Selection& selection, const SelectRequest& request, const JobMachine& machine);

// The machine of a job that is only described: estimates instead of measurements. One rank per core, per GPU, or per host.
enum class Seats : std::uint8_t { cores, gpus, hosts };
Result<JobMachine> describe_job(const Topology& topology, Rank ranks, Seats seats = Seats::cores,
                                HostLinks links = HostLinks::expected);
// How the hosts of a job are joined, where rank r is on host r / ranks_per_host: with one rank on each host of a torus of these
// dimensions, the last one fastest, the ranks are its nodes; pods of hosts are pods of ranks. Its links must be known.
void lay_on_torus(JobMachine& machine, std::span<const int> dimensions);
void lay_in_pods(JobMachine& machine, std::span<const Pods> pods);

inline constexpr std::uint32_t kMostPieces = 1024, kMostRadix = 1024;

// An algorithm by name, perhaps with its parameters: "ring", "ring/pieces=8", "knomial/radix=4", "direct/published".
struct ForcedAlgorithm {
  std::string_view name = {};            // empty ("/radix=4"): any that has the parameters
  std::uint32_t radix = 0, pieces = 0;   // 0: the selector's choice
  bool published = false, sent = false;  // neither: the selector's choice

  static Result<ForcedAlgorithm> parse(std::string_view text);
  [[nodiscard]] bool only_sent() const noexcept { return sent || pieces > 0; }  // what is published is not cut
  [[nodiscard]] std::string misfit(const Algorithm& algorithm) const;           // "has no radix"; empty: it has the parameters
};

// Algorithm overrides: "ring" or "all_reduce:ring/pieces=8,broadcast:knomial". Empty result for a collective: not forced.
class AlgorithmOverrides {
 public:
  // Unknown names are errors that list the known ones.
  static Result<AlgorithmOverrides> parse(std::string_view text, const AlgorithmTable& table = {});
  [[nodiscard]] std::string_view forced(Collective collective) const;

 private:
  std::vector<std::string> by_collective_;
};

// What is left to choose from: "ring,direct" (only these), "^hierarchical" (all but this), each of all collectives that have it
// or of one ("all_reduce:^ring"). A collective of which nothing is said keeps all.
class AlgorithmFilter {
 public:
  static Result<AlgorithmFilter> parse(std::string_view text, const AlgorithmTable& table);  // as above; refers to the table
  [[nodiscard]] bool leaves(const Algorithm& row) const;

 private:
  std::vector<const Algorithm*> only_, without_;
  std::array<bool, kCollectives> listed_{};  // by collective: whether only_ has any
};

}  // namespace tutti
