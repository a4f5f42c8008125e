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

// Of all that a builder or a cost may depend on besides the rank and where its buffers are.
[[nodiscard]] std::uint64_t hash_of(const Shape& shape, const Chunking& chunking = {});

// Opens it and looks at its version, layout and rows; nothing is built yet.
[[nodiscard]] Result<PluginAlgorithms> open_plugin(const std::string& file);

// Proves a row for so many ranks, on the machine's levels where it needs some (null: flat).
[[nodiscard]] Status prove_plugin_row(const Algorithm& row, Rank ranks, const std::vector<Grouping>* levels);

// A plugin's row as a job's: each root and way of cutting is proved before its first use (Algorithm::refuses_cut), and measured
// where the row declares no cost. Exceptions become refusals. `unproved`: why it must not be used; empty where it may.
[[nodiscard]] std::shared_ptr<const Algorithm> plugin_row(const Algorithm& row, const std::string& file, std::string unproved);

}  // namespace tutti
