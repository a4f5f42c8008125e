// The `tutti` program: one sub-command per file.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>

#include "cli/algorithms.h"
#include "cli/doctor.h"
#include "cli/env.h"
#include "cli/explain.h"
#include "cli/perf.h"
#include "cli/report.h"
#include "cli/run_mpi.h"
#include "cli/schedule.h"
#include "cli/simulate.h"
#include "cli/topo.h"
#include "cli/tune.h"
#include "cli/usage.h"
#include "cli/verify.h"

namespace {

constexpr const char* kFirstSteps = R"(First steps:
  tutti topo                                     this machine
  tutti doctor                                   what makes it slow, and how to mend that
  tutti explain all_reduce --bytes 1M            which algorithm a call would use, and why
  tutti algorithms all_reduce                    all of its algorithms, what they need and cost
  mpirun -np 4 tutti perf all_reduce             times between 4 ranks; every value is checked
  mpirun -np 4 tutti tune                        measures which algorithms are fastest; later jobs use that
  tutti schedule all_reduce --ranks 4 >steps.txt what each rank does, as text; change it, and
  tutti verify steps.txt                         prove it right or learn what is wrong
  tutti COMMAND --help                           more; --help-all for all of it
)";

// What CLI11 says about these would not help.
void check_words(const CLI::App& app, const std::vector<std::string>& words) {
  for (const std::string& word : words)
    if (word.starts_with("--") && word.ends_with('=')) tutti::leave(word + " is followed by no value", tutti::kExitUsage);
  if (words.front().starts_with('-')) return;
  std::string known;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == words.front()) return;
    known += (known.empty() ? "" : ", ") + command->get_name();
  }
  tutti::leave(fmt::format("there is no sub-command \"{}\"; there are {}", words.front(), known), tutti::kExitUsage);
}

// CLI11 lists words that it does not expect backwards.
std::string what(const CLI::App* app, const CLI::Error& error) {
  if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::ExtrasError)) return error.what();
  return fmt::format("not expected: {}", fmt::join(app->remaining(true), " "));
}

std::string failure_message(const CLI::App* app, const CLI::Error& error) {
  const auto chosen = app->get_subcommands();
  return fmt::format("tutti: {}; `tutti {}--help` tells more\n", what(app, error),
                     chosen.empty() ? "" : chosen.front()->get_name() + " ");
}

// `tutti help perf` is `tutti perf --help`.
std::vector<std::string> words_from(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty() || words.front() != "help") return words;
  words.erase(words.begin());
  words.emplace_back("--help");
  return words;
}

// What was printed may still wait in a buffer, and a full disk must not pass for success.
int finish_output() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
  fmt::print(stderr, "tutti: cannot write to the standard output\n");
  return tutti::kExitFailed;
}

int run(int argc, char** argv) {
  CLI::App app{"tutti: collective communication. Schedules that are proved, priced and run.", "tutti"};
  app.set_version_flag("--version", TUTTI_VERSION);
  app.set_help_all_flag("--help-all", "Print the help of all sub-commands and exit");
  app.require_subcommand(1);
  app.failure_message(failure_message);
  app.footer(tutti::with_exit_statuses(kFirstSteps));
  tutti::add_topo_command(app);
  tutti::add_explain_command(app);
  tutti::add_simulate_command(app);
  tutti::add_algorithms_command(app);
  tutti::add_schedule_command(app);
  tutti::add_verify_command(app);
  tutti::add_perf_command(app);
  tutti::add_tune_command(app);
  tutti::add_run_mpi_command(app);
  tutti::add_doctor_command(app);
  tutti::add_env_command(app);
  auto words = words_from(argc, argv);
  tutti::drop_separator(words);
  if (words.empty()) {
    fmt::print(stderr, "{}", app.help());
    return tutti::kExitUsage;
  }
  try {
    check_words(app, words);
    std::ranges::reverse(words);  // as CLI11 wants them
    app.parse(std::move(words));
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
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "tutti: there is not enough memory\n");
  } catch (const std::exception& e) {  // printing
    fmt::print(stderr, "tutti: {}\n", e.what());
  }
  return tutti::kExitFailed;
}
