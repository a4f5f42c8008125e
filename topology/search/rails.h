// Which NIC serves which rank.
#pragma once

#include "topology/search/graph.h"
#include "tutti/route_search.h"

namespace tutti::search {

// The nearest NIC of the rank's host: below the same PCIe switch, then at the same package; of equally near ones the fastest,
// then the one that serves fewest ranks so far, then the first.
[[nodiscard]] std::vector<Rail> rails(const Graph& graph);

}  // namespace tutti::search
