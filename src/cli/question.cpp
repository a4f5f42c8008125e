#include "cli/question.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/report.h"
#include "cli/sizes.h"
#include "cli/usage.h"
#include "core/config.h"
#include "transports/registry.h"

namespace tutti {
namespace {

constexpr std::size_t kMostDeviceRanks = 1024;  // the choice looks at the plans of all

// As a job would: what TUTTI_TOPOLOGY says, where nothing is asked about.
void take_topology_from_environment(Question& q) {
  if (!q.topology.empty()) return;
  auto config = Config::from_environment();
  if (!config) leave(config.error());
  if (config->is_set(Var::topology)) q.topology = config->text(Var::topology);
}

Topology topology_from(const std::string& text) {
  auto topology = text.empty() ? discover() : load_topology(text);
  if (topology) return std::move(*topology);
  if (text.empty()) leave(topology.because("looking at this machine"));
  leave(topology.because("--topology").to_string(), kExitUsage);  // whatever is wrong with it
}

int all_cores(const Topology& t) {
  int cores = 0;
  for (int h = 0; h < hosts(t); ++h) cores += available_cores(t, h);
  return cores;
}

Seats seats_of(const Question& q, const Topology& topology) {
  const bool any = !gpus(topology).empty();
  if (q.on == "gpus" && !any) leave("--on gpus: the machine has no GPU", kExitUsage);
  if (q.on == "hosts") return Seats::hosts;
  return q.on == "gpus" || (q.on.empty() && any && !q.topology.empty()) ? Seats::gpus : Seats::cores;
}

int number_of(Seats seats, const Topology& topology) {
  switch (seats) {
    case Seats::gpus:
      return static_cast<int>(gpus(topology).size());
    case Seats::hosts:
      return hosts(topology);
    case Seats::cores:
      break;
  }
  return std::max(2, all_cores(topology));
}

// As in a job: what is asked for decides alone, else the variables do.
void take_from_environment(Question& q, const AlgorithmTable& table) {
  if (!q.algorithm.empty() || !q.filter.empty()) return;
  auto config = Config::from_environment();
  if (!config) leave(config.error());
  q.forced_by = config->source(Var::algorithm);
  q.filtered_by = config->source(Var::algorithm_filter);
  auto forced = AlgorithmOverrides::parse(config->text(Var::algorithm), table);
  if (!forced) leave(forced.because(q.forced_by));
  q.algorithm = forced->forced(collective_of(q.collective));
  q.filter = config->text(Var::algorithm_filter);
}

// A sum of f32 stands for what is asked about.
Numerics numerics_for(const Question& q, Collective collective, Rank ranks) {
  auto config = Config::from_environment();
  if (!config) leave(config.error());
  Contract contract = contract_of(*config);
  const ReduceOp op{.kind = q.ordered ? ReduceKind::user : ReduceKind::sum, .commutative = !q.ordered};
  const auto order = order_of(q.contract);
  const auto accumulate = accumulate_of(q.contract);
  if (!order && !accumulate) return numerics_within(collective, DataType::f32, op, ranks, contract);
  if (order) contract.order = *order;
  if (accumulate) contract.accumulate = accumulate;
  auto numerics = numerics_of(collective, DataType::f32, op, ranks, contract);
  if (!numerics) leave(numerics.error().to_string(), kExitUsage);
  return *numerics;
}

SelectRequest request_of(const Question& q, Rank ranks) {
  const Collective collective = collective_of(q.collective);
  const std::uint64_t bytes = bytes_of(q);
  return {.collective = collective,
          .root = q.root,
          .block_bytes = has_blocks(collective) ? bytes / static_cast<std::uint64_t>(ranks) : bytes,
          .commutative = !q.ordered,
          .equal_blocks = !q.uneven,
          .numerics = numerics_for(q, collective, ranks),
          .forced = q.algorithm,
          .forced_by = q.forced_by,
          .filter = q.filter,
          .filtered_by = q.filtered_by};
}

// Which GPU each rank has: they take them in turns, as in `tutti perf`.
std::vector<std::size_t> take_gpus(const Question& q, const DeviceChoice& choice, std::size_t gpus) {
  if (gpus == 0) leave("--device cuda: the machine has no GPU", kExitUsage);
  if (!q.on.empty() && q.on != "gpus") leave(fmt::format("--on {}: with --device cuda ranks sit on GPUs", q.on), kExitUsage);
  if (choice.number && static_cast<std::size_t>(*choice.number) >= gpus)
    leave(fmt::format("--device cuda:{}: the machine has {} GPU{}", *choice.number, gpus, gpus == 1 ? "" : "s"), kExitUsage);
  if (choice.number && q.ranks == 0)
    leave(fmt::format("--device cuda:{}: how many ranks share it? Add --ranks", *choice.number), kExitUsage);
  std::vector<std::size_t> taken(q.ranks > 0 ? static_cast<std::size_t>(q.ranks) : gpus);
  if (taken.size() > kMostDeviceRanks)
    leave(fmt::format("{} ranks: with --device cuda at most {} (--ranks says how many)", taken.size(), kMostDeviceRanks),
          kExitUsage);
  for (std::size_t r = 0; r < taken.size(); ++r) taken[r] = choice.number ? static_cast<std::size_t>(*choice.number) : r % gpus;
  return taken;
}

}  // namespace

Collective collective_of(std::string_view text) {
  const auto found = parse_collective(text);
  if (found && *found != Collective::send_recv) return *found;
  std::string known;
  for (int c = 0; c < kCollectives; ++c)
    if (const auto one = static_cast<Collective>(c); one != Collective::send_recv)
      known += fmt::format("{}{}", known.empty() ? "" : ", ", name(one));
  if (text.empty()) leave(fmt::format("which collective? There are {}", known), kExitUsage);
  leave(fmt::format("\"{}\" is not a collective with algorithms to choose from; there are {}", text, known), kExitUsage);
}

void add_question(CLI::App& command, Question& q) {
  command.add_option("collective", q.collective, "all_reduce, all_gather, broadcast, ...");
  command.add_option("--ranks", q.ranks, "Number of ranks (default: one per core, or per GPU)")
      ->check(number<Rank>(1, kMostRanks));
  command
      .add_option("--topology", q.topology,
                  "XML file of hwloc or NCCL, tutti JSON file, or a description such as \"node:4 numa:2 core:8\", dgx-h100:4 or "
                  "torus:4x4 (default: this machine)")
      ->check(file_name());
  command
      .add_option("--on", q.on,
                  "What ranks sit on, one each: cores, gpus or hosts (default: the GPUs of a described machine that has any, "
                  "else the cores)")
      ->check(CLI::IsMember({"cores", "gpus", "hosts"}));
  command.add_option("--root", q.root, "Root, for collectives that have one")->capture_default_str()->check(number<Rank>());
  command
      .add_option(
          "--algorithm", q.algorithm,
          "Only this algorithm, perhaps with parameters: ring, ring/pieces=8, knomial/radix=4, direct/published, direct/sent")
      ->check(not_empty());
  command.add_option("--filter", q.filter, "Only some algorithms: names separated by commas; ^name excludes one")
      ->check(not_empty());
  add_contract_options(command, q.contract);
  add_own_options(command, q.own);
}

void check_root(Rank root, Rank ranks) {
  if (root < 0 || root >= ranks) leave(fmt::format("--root {}: there are ranks 0 to {}", root, ranks - 1), kExitUsage);
}

std::uint64_t bytes_of(const Question& q) {
  auto bytes = parse_bytes(q.bytes);
  if (!bytes) leave(bytes.because("--bytes"));
  return collective_of(q.collective) == Collective::barrier ? 0 : *bytes;
}

// What TUTTI_TRANSPORT leaves of them.
HostLinks links_from_environment() {
  auto config = Config::from_environment();
  if (!config) leave(config.error());
  const auto rows = choose_transports(config->text(Var::transport), config->source(Var::transport));
  if (!rows) leave(rows.error());
  return has_row(*rows, "verbs") ? HostLinks::expected : HostLinks::fastest;
}

Answer ask(Question& q) {
  (void)bytes_of(q);  // leaves before the machine is looked at
  take_topology_from_environment(q);
  const Topology topology = topology_from(q.topology);
  const Seats seats = seats_of(q, topology);
  const Rank ranks = q.ranks > 0 ? q.ranks : number_of(seats, topology);
  check_root(q.root, ranks);
  auto machine = describe_job(topology, ranks, seats, links_from_environment());
  if (!machine) leave(machine.error());
  machine->algorithms = table_for(q.own, ranks, machine->levels);
  take_from_environment(q, machine->algorithms);
  const SelectRequest request = request_of(q, ranks);
  auto selection = select(request, *machine);
  if (!selection) leave(selection.error());
  return {request, std::move(*machine), std::move(*selection)};
}

AskedCall call_of(const Question& q, Rank ranks) {
  const SelectRequest request = request_of(q, ranks);
  AskedCall asked{.call = {.collective = request.collective,
                           .count = request.block_bytes,
                           .root = q.root,
                           .algorithm = q.algorithm,
                           .algorithm_filter = q.filter},
                  .counts = std::vector<std::uint64_t>(static_cast<std::size_t>(ranks), request.block_bytes)};
  Call& call = asked.call;
  if (q.uneven && input_chunks(call.collective, 2, 1) == 2) call.input_counts = asked.counts;
  if (q.uneven && output_chunks(call.collective, 2, 1) == 2) call.output_counts = asked.counts;
  if (q.ordered && reduces(call.collective)) {
    call.op.kind = ReduceKind::user;
    call.op.commutative = false;
    call.op.user.apply = [](const void*, void*, std::size_t, DataType, void*) noexcept {};
  }
  return asked;
}

void in_f32(AskedCall& asked) {
  const auto of_bytes = [](std::uint64_t bytes) { return (bytes + sizeof(float) - 1) / sizeof(float); };
  asked.call.type = DataType::f32;
  asked.call.count = of_bytes(asked.call.count);
  for (std::uint64_t& count : asked.counts) count = of_bytes(count);
}

DeviceAnswer ask_of_devices(Question& q, const DeviceChoice& choice) {
  (void)bytes_of(q);
  take_topology_from_environment(q);
  const Topology topology = topology_from(q.topology);
  const std::vector<NodeId> all = gpus(topology);
  std::vector<std::string> devices;
  std::vector<NodeId> nodes;
  for (const std::size_t gpu : take_gpus(q, choice, all.size())) {
    devices.push_back(fmt::format("gpu {}", gpu));
    nodes.push_back(all[gpu]);
  }
  const Rank ranks = static_cast<Rank>(devices.size());
  check_root(q.root, ranks);
  DeviceLayout layout = lay_out(devices, nodes, topology);
  JobMachine job;
  job.ranks = ranks;
  job.algorithms = table_for(q.own, ranks, on_devices(job, layout).levels);
  take_from_environment(q, job.algorithms);
  DeviceAnswer answer{.ways = std::make_unique<DeviceWays>(std::move(job), std::move(layout)), .explanation = {}};
  const AskedCall asked = call_of(q, ranks);
  auto request = check_shape(asked.call, 0, ranks);
  if (!request) leave(request.error());
  const SelectRequest as_asked = request_of(q, ranks);
  request->numerics = as_asked.numerics;
  auto explanation = answer.ways->explain(*request, as_asked);
  if (!explanation) leave(explanation.error());
  answer.explanation = std::move(*explanation);
  return answer;
}

}  // namespace tutti
