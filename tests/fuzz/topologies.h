// What holds of every topology that was loaded.
#pragma once

#include "tests/fuzz/fuzz.h"
#include "tutti/topology.h"

namespace tutti::fuzz {

inline void use(const Result<Topology>& topology) {
  if (!parsed(topology)) return;
  promise(static_cast<bool>(check(*topology)), "what is loaded passes check()");
  if (topology->nodes.size() > 2000) return;
  promise(!render_tree(*topology).empty() && !to_dot(*topology).empty(), "it can be shown");
  const auto again = topology_from_json(to_json(*topology));
  promise(parsed(again) && *again == *topology, "as JSON it comes back");
  for (int level = 0; level < kLevels; ++level) (void)between(*topology, static_cast<Level>(level));
  (void)fingerprint(*topology);
  if (const auto placement = offline_placement(*topology, 3)) (void)levels(placement->ranks);
}

}  // namespace tutti::fuzz
