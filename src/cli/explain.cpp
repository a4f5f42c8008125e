#include "cli/explain.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/question.h"
#include "cli/usage.h"

namespace tutti {
namespace {

struct Options {
  Question question;
  bool json = false;
};

void run(const Options& o) {
  const Answer a = ask(o.question);
  fmt::print("{}", o.json ? to_json(a.selection, a.request, a.machine) + "\n" : render(a.selection, a.request, a.machine));
}

}  // namespace

void add_explain_command(CLI::App& app) {
  auto o = std::make_shared<Options>();
  auto* command =
      app.add_subcommand("explain", "Prints which algorithm a call would use and why: candidates, predicted times, refusals");
  add_question(*command, o->question);
  command->add_option("--bytes", o->question.bytes, "Size of the larger side, as in tutti perf")->capture_default_str();
  command->add_flag("--ordered", o->question.ordered, "The operator is not commutative");
  command->add_flag("--uneven", o->question.uneven, "Blocks of different sizes (a v-variant)");
  command->add_flag("--json", o->json, "For programs");
  command->footer(with_exit_statuses("Example: tutti explain all_reduce --bytes 1M --ranks 64 --topology \"node:8 core:8\"\n"));
  command->callback([o] { run(*o); });
}

}  // namespace tutti
