#include "cli/topo.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>

#include "cli/report.h"
#include "cli/usage.h"
#include "tutti/route_search.h"

namespace tutti {
namespace {

struct TopoOptions {
  std::string from;
  bool json = false;
  bool dot = false;
  bool search = false;
};

// Rings, trees, levels and rails, and how long they took to find.
std::string search(const TopoOptions& options, const Topology& topology) {
  const auto start = std::chrono::steady_clock::now();
  auto found = search_routes(topology);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  if (!found) leave(found.because("searching for rings and trees"));
  if (options.json) return to_json(*found, topology) + "\n";
  return render(*found, topology) + fmt::format("found in {:.1f} ms, {} steps\n", took.count(), found->steps);
}

std::string render(const TopoOptions& options, const Topology& topology) {
  if (options.search) return search(options, topology);
  if (options.json) return to_json(topology) + "\n";
  if (options.dot) return to_dot(topology);
  if (!options.from.empty()) return render_tree(topology);
  const auto bound = current_binding();
  return bound ? render_tree(topology, *bound) : render_tree(topology);
}

void run(const TopoOptions& options) {
  auto topology = options.from.empty() ? discover() : load_topology(options.from);
  if (!topology && !options.from.empty()) leave(topology.because("--from").to_string(), kExitUsage);  // whatever is wrong with it
  if (!topology) leave(topology.because("looking at this machine"));
  fmt::print("{}", render(options, *topology));
}

}  // namespace

void add_topo_command(CLI::App& app) {
  auto options = std::make_shared<TopoOptions>();
  CLI::App* command =
      app.add_subcommand("topo", "Shows this machine, or one that is only described, as a tree with estimates of its links");
  command
      ->add_option("--from", options->from,
                   "A file (XML of hwloc or NCCL, this command's JSON) or a description such as \"node:4 numa:2 core:8\", "
                   "dgx-h100:16 or \"torus:4x4 core:8\" instead of this machine")
      ->check(file_name());
  CLI::Option* json = command->add_flag("--json", options->json, "One line of JSON; without --search it is readable by --from");
  CLI::Option* dot = command->add_flag("--dot", options->dot, "A Graphviz graph")->excludes(json);
  command
      ->add_flag("--search", options->search,
                 "Rings and trees through the GPUs (where there are none: the cores) with their bandwidth and what the links "
                 "allow at most, levels, and which NIC serves which rank")
      ->excludes(dot);
  command->footer(with_exit_statuses(
      "Examples: tutti topo --from \"node:2 numa:2 core:8\"\n"
      "          tutti topo --search --from \"node:2 core:8 gpu:8 nic:8 nvlink=450GB/s pcie=50GB/s net=50GB/s\"\n"));
  command->callback([options] { run(*options); });
}

}  // namespace tutti
