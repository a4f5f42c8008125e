#include "cli/env.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/report.h"
#include "cli/usage.h"
#include "core/config.h"

namespace tutti {
namespace {

std::string shown(const ConfigRow& row) {
  std::string text(row.default_value.empty() ? "(unset)" : row.default_value);
  if (!row.choices.empty()) text += fmt::format(" ({})", row.choices);
  std::ranges::replace(text, '|', '/');  // a bar would end the table's cell
  return text;
}

void run(bool markdown) {
  auto config = Config::from_environment();
  if (markdown) fmt::print("| variable | default | meaning |\n| --- | --- | --- |\n");
  for (const ConfigRow& row : config_table()) {
    if (markdown)
      fmt::print("| `{}` | {} | {} |\n", row.name, shown(row), row.help);
    else
      fmt::print("{:<24} {:<28} {}{}\n", row.name, shown(row), row.help,
                 config && config->is_set(row.var)
                     ? fmt::format(" [now: {}]", row.var == Var::secret ? "set" : config->text(row.var))
                     : "");
  }
  if (!markdown && !config) leave(config.error());
}

}  // namespace

void add_env_command(CLI::App& app) {
  auto* command = app.add_subcommand("env", "Prints the TUTTI_ variables, their defaults and what is set now");
  auto markdown = std::make_shared<bool>(false);
  command->add_flag("--markdown", *markdown, "As a table in Markdown, without present values");
  command->footer(with_exit_statuses("Example: TUTTI_LOG=info tutti env\n"));
  command->callback([markdown] { run(*markdown); });
}

}  // namespace tutti
