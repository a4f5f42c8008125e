#include "cli/topo.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "tutti/topology.h"

namespace tutti {
namespace {

struct TopoOptions {
  std::string from;
  bool json = false;
  bool dot = false;
};

constexpr int kBadInput = 2;

int show(const TopoOptions& options) {
  auto topology = options.from.empty() ? discover() : load_topology(options.from);
  if (!topology) {
    fmt::print(stderr, "tutti topo: {}\n", topology.error().to_string());
    return kBadInput;
  }
  if (options.json) {
    fmt::print("{}\n", to_json(*topology));
  } else if (options.dot) {
    fmt::print("{}", to_dot(*topology));
  } else {
    const auto bound = options.from.empty() ? current_binding() : Result<std::vector<int>>(std::vector<int>{});
    fmt::print("{}", render_tree(*topology, bound ? *bound : std::vector<int>{}));
  }
  return 0;
}

}  // namespace

void add_topo_command(CLI::App& app) {
  auto options = std::make_shared<TopoOptions>();
  CLI::App* command = app.add_subcommand("topo", "Show this machine, or one that is described");
  command->add_option(
      "--from", options->from,
      "A file (hwloc XML, this command's JSON) or a description such as \"node:4 numa:2 core:8\" instead of this machine");
  CLI::Option* json = command->add_flag("--json", options->json, "One line of JSON, readable by --from");
  command->add_flag("--dot", options->dot, "A Graphviz graph")->excludes(json);
  command->callback([options] {
    if (const int status = show(*options); status != 0) throw CLI::RuntimeError(status);
  });
}

}  // namespace tutti
