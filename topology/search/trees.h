// Trees from rank 0 to all others.
#pragma once

#include "topology/search/whole.h"

namespace tutti::search {

struct WholeTree {
  std::vector<Rank> parent;
  int port = -1;
  Way way;  // paths[r]: from the parent of rank r to it
};

// The best of several sets of trees: of those that reach most the one whose farthest rank is nearest.
//
// - Where links join ends directly: as many edge-disjoint branchings as there can be (J. Edmonds 1973, by the way of L. Lovász,
//   "On two minimax theorems in graph", 1976), as G. Wang et al., "Blink: Fast and Generic Collectives for Distributed ML", 2020
//   do approximately.
// - Where switches join them: two binary trees in which each end is a leaf once (P. Sanders, J. Speck, J. L. Träff 2009).
// - The rings, cut open.
// Between domains two binary trees of domains for each of the rings' ports, and inside a domain a tree from where data comes in.
[[nodiscard]] std::vector<WholeTree> pack_trees(Whole& whole, const std::vector<std::vector<DomainRing>>& rings, double width,
                                                double bound_gbps, std::uint64_t& steps);

}  // namespace tutti::search
