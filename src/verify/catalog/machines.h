// Made-up machines to try hierarchical algorithms on.
#pragma once

#include <string>
#include <vector>

#include "tutti/routes.h"
#include "tutti/schedule.h"

namespace tutti {

struct Machine {
  std::string name;
  std::vector<Grouping> levels;  // innermost first, each coarser than the one before
};

struct MadeUpRoutes {
  std::string name;
  Routes routes;
};

// Rings of one and of several weights, trees of different forms with roots of their own; for `ranks` ranks. Fewer for many.
[[nodiscard]] std::vector<MadeUpRoutes> made_up_routes(Rank ranks);

// Equal and unequal groups, neighbours and far-apart ranks, one to three levels; for `ranks` ranks.
[[nodiscard]] std::vector<Machine> made_up_machines(Rank ranks);

// Sizes of dimensions whose product is `ranks`: one to three of them, equal and unequal, also of one rank.
[[nodiscard]] std::vector<std::vector<Rank>> made_up_tori(Rank ranks);

// How many ranks sit in a pod, Shape::pod: a half to a quarter of them and one more, so that the last one has fewer.
[[nodiscard]] constexpr Rank made_up_pod(Rank ranks) noexcept { return ranks / (2 + ranks % 3) + 1; }

}  // namespace tutti
