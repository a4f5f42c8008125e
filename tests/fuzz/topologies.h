// What holds of every topology that was loaded.
#pragma once

#include <algorithm>

#include "tests/fuzz/fuzz.h"
#include "tutti/route_search.h"
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
  (void)torus_dimensions(*topology);
  (void)tapered_pods(*topology);
  for (int host = 0; host < std::min(hosts(*topology), 8); ++host) (void)hidden_parts(*topology, host);
  if (topology->nodes.size() <= 64)  // a search takes its time
    if (const auto found = search_routes(*topology); parsed(found))
      promise(!render(*found, *topology).empty(), "routes can be shown");
  if (const auto placement = offline_placement(*topology, 3)) (void)levels(placement->ranks);
}

}  // namespace tutti::fuzz
