// Made-up machines to try hierarchical algorithms on.
#pragma once

#include <string>
#include <vector>

#include "tutti/schedule.h"

namespace tutti {

struct Machine {
  std::string name;
  std::vector<Grouping> levels;  // innermost first, each coarser than the one before
};

// Equal and unequal groups, neighbours and far-apart ranks, one to three levels; for `ranks` ranks.
[[nodiscard]] std::vector<Machine> made_up_machines(Rank ranks);

// Sizes of dimensions whose product is `ranks`: one to three of them, equal and unequal, also of one rank.
[[nodiscard]] std::vector<std::vector<Rank>> made_up_tori(Rank ranks);

}  // namespace tutti
