// What schedules are built for, as a part of hashes.
#pragma once

#include "core/hash.h"
#include "tutti/routes.h"
#include "tutti/schedule.h"

namespace tutti {

inline Hasher& add_groups(Hasher& hasher, const std::vector<Grouping>& levels, Rank ranks) {
  for (const Grouping& level : levels)
    for (Rank r = 0; r < ranks; ++r) hasher.value(level.group_of(r));
  return hasher;
}

inline Hasher& add_routes(Hasher& hasher, const Routes& routes) {
  hasher.value(routes.rings.size()).value(routes.trees.size());
  for (const Ring& ring : routes.rings) {
    hasher.value(ring.weight);
    for (const Rank r : ring.order) hasher.value(r);
  }
  for (const Tree& tree : routes.trees) {
    hasher.value(tree.weight);
    for (const Rank r : tree.parent) hasher.value(r);
  }
  return hasher;
}

}  // namespace tutti
