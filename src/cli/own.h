// Algorithms of one's own, as on the command line: --schedules and --plugins, or else the variables.
#pragma once

#include <span>
#include <string>

#include "custom/custom.h"
#include "select/select.h"

namespace CLI {
class App;
}

namespace tutti {

struct OwnAlgorithms {
  std::string schedules, plugins;  // lists of files; "-" is the standard input
};

// The options; `own` must outlive the parsing.
void add_own_options(CLI::App& command, OwnAlgorithms& own);

// These leave where something is wrong with them.
[[nodiscard]] CustomAlgorithms load_own(const OwnAlgorithms& own);
[[nodiscard]] AlgorithmTable table_for(const OwnAlgorithms& own, Rank ranks, const std::vector<Grouping>& levels);

// "direct, ring": each name once.
[[nodiscard]] std::string names_of(std::span<const Algorithm* const> rows);

// A file of schedules; "-" is the standard input.
[[nodiscard]] Result<std::string> read_schedule_text(const std::string& file);

}  // namespace tutti
