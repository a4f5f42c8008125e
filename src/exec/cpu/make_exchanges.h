// Turns the messages of a schedule into exchanges (exchange.h).
#pragma once

#include "exec/cpu/plan.h"

namespace tutti {

// `first`: the first of plan.steps of each step of the schedule; a message is one of them. Code::internal where the schedule does
// something else than exchanging: send to others than all or the root, or use twice what it has received.
Status make_exchanges(const Schedule& schedule, const ChunkMap& map, std::span<const std::uint32_t> first, Plan& plan);

}  // namespace tutti
