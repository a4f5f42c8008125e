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

}  // namespace tutti
