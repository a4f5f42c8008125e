// A drawing of schedules as SVG: a vertical line for each rank, time downwards in rounds, an arrow for each message, marks for
// what ranks copy and combine by themselves.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "tutti/schedule.h"
#include "verify/verify.h"

namespace tutti {

// Code::invalid_argument where the picture would be too large to be looked at.
[[nodiscard]] Status check_drawable(Rank ranks, std::size_t steps);

// ranks[r] is the schedule of rank r; `proof` is theirs, with its timeline.
[[nodiscard]] std::string draw(std::span<const Schedule> ranks, const Proof& proof);

}  // namespace tutti
