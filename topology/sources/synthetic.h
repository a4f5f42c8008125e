// The short synthetic language: see load_topology in tutti/topology.h.
#pragma once

#include "tutti/topology.h"

namespace tutti {

// Whether this is the name of a host, "dgx-h100", which is a whole description.
[[nodiscard]] bool is_known_host(std::string_view word);

// Code::invalid_argument: what is wrong with which word.
Result<Topology> topology_from_synthetic(std::string_view text);

}  // namespace tutti
