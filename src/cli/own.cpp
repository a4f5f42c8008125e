#include "cli/own.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/report.h"
#include "cli/usage.h"
#include "core/config.h"
#include "core/file.h"

namespace tutti {
namespace {

Config environment_or_leave() {
  auto config = Config::from_environment();
  if (!config) leave(config.error());
  return std::move(*config);
}

}  // namespace

void add_own_options(CLI::App& command, OwnAlgorithms& own) {
  command
      .add_option("--schedules", own.schedules,
                  "Files of schedules to choose from as well, separated by commas, as in TUTTI_SCHEDULES")
      ->check(file_name());
  command.add_option("--plugins", own.plugins, "Libraries of algorithms to choose from as well, as in TUTTI_PLUGINS")
      ->check(file_name());
}

std::string names_of(std::span<const Algorithm* const> rows) {
  std::vector<std::string_view> names;
  for (const Algorithm* row : rows)
    if (std::ranges::find(names, row->name) == names.end()) names.push_back(row->name);
  return fmt::format("{}", fmt::join(names, ", "));
}

Result<std::string> read_schedule_text(const std::string& file) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 20;
  return read_file(file == "-" ? "/dev/stdin" : file, kMostBytes);
}

CustomAlgorithms load_own(const OwnAlgorithms& own) {
  const Config config = environment_or_leave();
  const auto listed = [&](const std::string& option, Var var) { return split_list(option.empty() ? config.text(var) : option); };
  std::vector<ScheduleText> texts;
  for (const std::string& file : listed(own.schedules, Var::schedules)) {
    auto text = read_schedule_text(file);
    if (!text) leave(text.error());
    texts.push_back({file, std::move(*text)});
  }
  auto custom = CustomAlgorithms::load(texts, listed(own.plugins, Var::plugins));
  if (!custom) leave(custom.error());
  return std::move(*custom);
}

AlgorithmTable table_for(const OwnAlgorithms& own, Rank ranks, const std::vector<Grouping>& levels) {
  const auto most = static_cast<Rank>(environment_or_leave().integer(Var::prove_ranks));
  auto table = load_own(own).table(ranks, levels.empty() ? nullptr : &levels, most);
  if (!table) leave(table.error());
  return std::move(*table);
}

}  // namespace tutti
