// Edge-disjoint branchings: spanning trees away from a root, no arc in two of them.
#pragma once

#include <cstdint>
#include <vector>

namespace tutti::search {

struct UnitArc {
  int from = 0, to = 0, count = 1;  // how many parallel ones
};

// `trees` parent lists over vertices 0 .. vertices-1, the root's parent being -1. There are so many if and only if as many can
// flow to each vertex (Edmonds 1973). Grown one by one: an arc may join a tree if enough can still flow to its head for the
// trees to come (Lovász 1976); of those that may, one from a vertex near the root. Empty where there are not so many.
[[nodiscard]] std::vector<std::vector<int>> branchings(int vertices, int root, std::vector<UnitArc> arcs, int trees,
                                                       std::uint64_t& steps);

}  // namespace tutti::search
