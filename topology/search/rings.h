// Rings inside one domain.
#pragma once

#include "topology/search/route.h"

namespace tutti::search {

// A circle through all ends of a domain, or where the job has several domains a way from one of its ports through all ends and
// back to that port.
struct DomainRing {
  int port = -1;
  int in = -1, out = -1;   // arcs from the network to the port and from the port to the network
  std::vector<int> order;  // ends
  std::vector<Path> hops;  // from the port or else order[0] to the next one, ..., back to the start
};

// As many rings of this width as can be found, at most so many, in a search that is broken off after `limit` steps.
//
// Depth first, near ends before far ones and wide links before narrow ones, with the ring's reverse tried as the next ring: links
// are alike in both directions.
[[nodiscard]] std::vector<DomainRing> pack_rings(const Graph& graph, const Domain& domain, bool ports, double width,
                                                 std::size_t most, std::uint64_t limit, std::uint64_t& steps);

}  // namespace tutti::search
