// Ways through a machine that share its links: rings and trees of ranks. Searches find them (tutti/route_search.h), algorithms
// follow them (multi_ring, packed_trees).
#pragma once

#include <cstdint>
#include <vector>

#include "tutti/types.h"

namespace tutti {

// order[i] sends to order[i + 1], the last one to the first.
struct Ring {
  std::vector<Rank> order;   // every rank once
  std::uint32_t weight = 1;  // how much of the data goes this way, compared with the other rings
  friend bool operator==(const Ring&, const Ring&) = default;
};

// A spanning tree; the root's parent is kNoRank. All trees of a set may have the same root or each its own.
struct Tree {
  std::vector<Rank> parent;
  std::uint32_t weight = 1;
  friend bool operator==(const Tree&, const Tree&) = default;
};

struct Routes {
  std::vector<Ring> rings;
  std::vector<Tree> trees;
  friend bool operator==(const Routes&, const Routes&) = default;
};

}  // namespace tutti
