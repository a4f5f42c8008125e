// What joins hosts: their links to the network, and the switches between these.
#pragma once

#include <optional>

#include "tutti/topology.h"

namespace tutti {

// Two hosts that are plugged into the same switches; the slowest host decides. Nothing where nobody says how fast links are.
[[nodiscard]] std::optional<LinkParameters> between_hosts(const Topology& topology, HostLinks links);

// What it takes longer to reach the host that is farthest away: the links between switches on the way there, where sources say
// what one takes.
[[nodiscard]] double longest_way_us(const Topology& topology);

}  // namespace tutti
