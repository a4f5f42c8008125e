#include "cli/explain.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/report.h"
#include "cli/sizes.h"
#include "core/config.h"
#include "select/select.h"

namespace tutti {
namespace {

constexpr Rank kMostRanks = 1 << 20;

struct Options {
  std::string collective, bytes = "1M", topology, algorithm;
  Rank ranks = 0, root = 0;
  bool json = false, ordered = false, uneven = false;
};

int all_cores(const Topology& t) {
  int cores = 0;
  for (int h = 0; h < hosts(t); ++h) cores += available_cores(t, h);
  return cores;
}

void run(const Options& o) {
  const auto collective = parse_collective(o.collective);
  if (!collective || *collective == Collective::send_recv)
    leave(fmt::format("\"{}\" is not a collective with algorithms to choose from", o.collective), kExitUsage);
  auto bytes = parse_bytes(o.bytes);
  if (!bytes) leave(bytes.because("--bytes"));
  auto topology = o.topology.empty() ? discover() : load_topology(o.topology);
  if (!topology && !o.topology.empty())
    leave(topology.because("--topology").to_string(), kExitUsage);  // whatever is wrong with it
  if (!topology) leave(topology.because("looking at this machine"));
  const Rank ranks = o.ranks > 0 ? o.ranks : std::max(2, all_cores(*topology));
  if (ranks > kMostRanks) leave(fmt::format("--ranks {}: at most {}", ranks, kMostRanks), kExitUsage);
  if (o.root < 0 || o.root >= ranks) leave(fmt::format("--root {}: there are ranks 0 to {}", o.root, ranks - 1), kExitUsage);
  auto machine = describe_job(*topology, ranks);
  if (!machine) leave(machine.error());
  const SelectRequest request{.collective = *collective,
                              .root = o.root,
                              .block_bytes = has_blocks(*collective) ? *bytes / static_cast<std::uint64_t>(ranks) : *bytes,
                              .commutative = !o.ordered,
                              .equal_blocks = !o.uneven,
                              .forced = o.algorithm};
  auto selection = select(request, *machine);
  if (!selection) leave(selection.error());
  fmt::print("{}{}", o.json ? to_json(*selection, request, *machine) : render(*selection, request, *machine), o.json ? "\n" : "");
}

}  // namespace

void add_explain_command(CLI::App& app) {
  auto o = std::make_shared<Options>();
  auto* command =
      app.add_subcommand("explain", "Prints which algorithm a call would use and why: candidates, predicted times, refusals");
  command->add_option("collective", o->collective, "all_reduce, all_gather, broadcast, ...")->required();
  command->add_option("--bytes", o->bytes, "Size of the larger side, as in tutti perf (default 1M)");
  command->add_option("--ranks", o->ranks, "Number of ranks (default: one per core)")->check(CLI::PositiveNumber);
  command->add_option("--topology", o->topology,
                      "hwloc XML or tutti JSON file, or a description such as \"node:4 numa:2 core:8\" (default: this machine)");
  command->add_option("--root", o->root, "Root, for collectives that have one");
  command->add_option("--algorithm", o->algorithm, "Only this algorithm");
  command->add_flag("--ordered", o->ordered, "The operator is not commutative");
  command->add_flag("--uneven", o->uneven, "Blocks of different sizes (a v-variant)");
  command->add_flag("--json", o->json, "For programs");
  command->callback([o] { run(*o); });
}

}  // namespace tutti
