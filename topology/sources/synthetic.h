// The short synthetic language: see load_topology in tutti/topology.h.
#pragma once

#include "tutti/topology.h"

namespace tutti {

// Code::invalid_argument: what is wrong with which word.
Result<Topology> topology_from_synthetic(std::string_view text);

}  // namespace tutti
