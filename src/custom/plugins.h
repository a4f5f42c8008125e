// Algorithms from plugin libraries (tutti/plugin.h).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tutti/algorithm.h"
#include "tutti/result.h"

namespace tutti {

struct PluginAlgorithms {
  std::string file;
  std::span<const Algorithm> rows;
  std::uint64_t hash = 0;  // of the file
};

// Opens it and looks at its version, layout and rows; nothing is built yet.
[[nodiscard]] Result<PluginAlgorithms> open_plugin(const std::string& file);

// Proves a row for so many ranks, on the machine's levels where it needs some (null: flat).
[[nodiscard]] Status prove_plugin_row(const Algorithm& row, Rank ranks, const std::vector<Grouping>* levels);

// A plugin's row as a job's: where it declares no cost, it is measured for each chunking and root that is asked for. `unproved`:
// why it must not be used; empty where it may.
[[nodiscard]] std::shared_ptr<const Algorithm> plugin_row(const Algorithm& row, const std::string& file, std::string unproved);

}  // namespace tutti
