// The `tutti` program: one sub-command per file.
#include <CLI/CLI.hpp>

#include "cli/env.h"
#include "cli/explain.h"
#include "cli/perf.h"
#include "cli/topo.h"
#include "cli/verify.h"

int main(int argc, char** argv) {
  CLI::App app{"tutti: collective communication. Schedules that are proved, priced and run."};
  app.set_version_flag("--version", TUTTI_VERSION);
  app.require_subcommand(1);
  tutti::add_topo_command(app);
  tutti::add_explain_command(app);
  tutti::add_perf_command(app);
  tutti::add_verify_command(app);
  tutti::add_env_command(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RuntimeError& e) {  // a sub-command has said what was wrong
    return e.get_exit_code();
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return 0;
}
