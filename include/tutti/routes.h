// Ways through a machine that share its links: rings and trees of ranks. Searches find them (tutti/route_search.h), algorithms
// follow them (multi_ring, packed_trees).
#pragma once

#include <algorithm>
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

// Edges from the root to the farthest rank.
[[nodiscard]] inline std::uint32_t depth(const std::vector<Rank>& parent) {
  std::vector<std::uint32_t> known(parent.size(), 0);  // one more than the depth; 0: not yet
  std::uint32_t deepest = 1;
  std::vector<std::size_t> below;
  for (std::size_t r = 0; r < parent.size(); ++r) {
    std::size_t at = r;
    for (; known[at] == 0 && parent[at] != kNoRank; at = static_cast<std::size_t>(parent[at])) below.push_back(at);
    if (known[at] == 0) known[at] = 1;
    for (std::uint32_t here = known[at]; !below.empty(); below.pop_back()) known[below.back()] = ++here;
    deepest = std::max(deepest, known[r]);
  }
  return deepest - 1;
}

// Those that an algorithm shares its data between, in proportion to their weights. Empty: none are known.
struct Routes {
  std::vector<Ring> rings;
  std::vector<Tree> trees;
  friend bool operator==(const Routes&, const Routes&) = default;
};

}  // namespace tutti
