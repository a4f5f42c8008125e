// Rings and trees of the hosts of a torus.
#pragma once

#include "tutti/route_search.h"

namespace tutti::search {

[[nodiscard]] std::vector<NodeId> machines(const Topology& topology);

// Over the links between hosts, which are the ranks. Trees are rings, cut open. Code::invalid_argument where there is no torus.
Result<RouteSearch> search_torus(const Topology& topology);

}  // namespace tutti::search
