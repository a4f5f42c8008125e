#include "cli/topo.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
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
constexpr int kCannotWrite = 1;

std::string render(const TopoOptions& options, const Topology& topology) {
  if (options.json) return to_json(topology) + "\n";
  if (options.dot) return to_dot(topology);
  if (!options.from.empty()) return render_tree(topology);
  const auto bound = current_binding();
  return bound ? render_tree(topology, *bound) : render_tree(topology);
}

// A full disk or a closed pipe must not pass for success.
int write_out(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (written) return 0;
  fmt::print(stderr, "tutti topo: {}\n", system_error(errno, "writing to the standard output").to_string());
  return kCannotWrite;
}

int show(const TopoOptions& options) {
  auto topology = options.from.empty() ? discover() : load_topology(options.from);
  if (!topology) {
    fmt::print(stderr, "tutti topo: {}\n", topology.error().to_string());
    return kBadInput;
  }
  return write_out(render(options, *topology));
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
