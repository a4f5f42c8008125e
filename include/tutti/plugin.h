// Algorithms in a shared library of your own, which TUTTI_PLUGINS or Options::plugins adds to a job:
//
//   tutti::Schedule build(tutti::Rank me, const tutti::Shape& shape, const tutti::Chunking&) { ... Builder ... }
//   constexpr tutti::Algorithm kMine[] = {{.collective = tutti::Collective::all_gather, .name = "mine", ..., .build = build}};
//   constexpr tutti::Plugin kPlugin{.algorithms = kMine, .count = 1};
//   extern "C" const tutti::Plugin* tutti_plugin() { return &kPlugin; }
//
// Link it with libtutti.so. examples/custom_algorithm.cpp is a complete one. A row is proved when a communicator starts, in one
// and two pieces and with a few roots, and before the first use of each root and each way of cutting; one without a cost is
// priced by what the verifier measures. Exceptions end in errors. The library is never closed.
#pragma once

#include <cstdint>

#include "tutti/algorithm.h"
#include "tutti/routes.h"

namespace tutti {

// Changes whenever one of the types that a plugin and the library pass each other does; a plugin of another one is refused.
inline constexpr std::uint32_t kPluginVersion = 3;

// Of the types as this compiler lays them out.
struct PluginLayout {
  std::uint32_t version = kPluginVersion;  // first, and looked at before all else
  std::uint32_t algorithm_bytes = sizeof(Algorithm);
  std::uint32_t schedule_bytes = sizeof(Schedule);
  std::uint32_t step_bytes = sizeof(Step);
  std::uint32_t shape_bytes = sizeof(Shape);
  std::uint32_t chunking_bytes = sizeof(Chunking);
  std::uint32_t cost_bytes = sizeof(Cost);
  std::uint32_t level_cost_bytes = sizeof(LevelCost);
  std::uint32_t requirements_bytes = sizeof(Requirements);
  std::uint32_t slice_bytes = sizeof(Slice);
  std::uint32_t grouping_bytes = sizeof(Grouping);
  std::uint32_t routes_bytes = sizeof(Routes);
  std::uint32_t ring_bytes = sizeof(Ring);
  std::uint32_t tree_bytes = sizeof(Tree);

  friend bool operator==(const PluginLayout&, const PluginLayout&) = default;
};

struct Plugin {
  PluginLayout layout = {};
  const Algorithm* algorithms = nullptr;  // stay where they are, and so does what they refer to
  std::uint32_t count = 0;
};

}  // namespace tutti

// What the library asks a plugin for.
extern "C" const tutti::Plugin* tutti_plugin();
