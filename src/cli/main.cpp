// The `tutti` program: one sub-command per file.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "cli/env.h"
#include "cli/explain.h"
#include "cli/perf.h"
#include "cli/report.h"
#include "cli/topo.h"
#include "cli/verify.h"

namespace {

// CLI11 would only say that a sub-command is missing.
void check_command(const CLI::App& app, std::string_view word) {
  if (word.empty() || word.front() == '-') return;
  std::string known;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == word) return;
    known += (known.empty() ? "" : ", ") + command->get_name();
  }
  tutti::leave(fmt::format("there is no sub-command \"{}\"; there are {}", word, known), tutti::kExitUsage);
}

// What was printed may still wait in a buffer, and a full disk must not pass for success.
int finish_output() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
  fmt::print(stderr, "tutti: cannot write to the standard output\n");
  return tutti::kExitFailed;
}

int run(int argc, char** argv) {
  CLI::App app{"tutti: collective communication. Schedules that are proved, priced and run."};
  app.set_version_flag("--version", TUTTI_VERSION);
  app.require_subcommand(1);
  tutti::add_topo_command(app);
  tutti::add_explain_command(app);
  tutti::add_perf_command(app);
  tutti::add_verify_command(app);
  tutti::add_env_command(app);
  try {
    if (argc > 1) check_command(app, argv[1]);
    app.parse(argc, argv);
  } catch (const CLI::RuntimeError& e) {  // a sub-command has said what was wrong
    return e.get_exit_code();
  } catch (const CLI::ParseError& e) {
    if (app.exit(e) != 0) return tutti::kExitUsage;
  }
  return finish_output();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {  // printing, or memory
    fmt::print(stderr, "tutti: {}\n", e.what());
    return tutti::kExitFailed;
  }
}
