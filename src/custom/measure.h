// The cost of schedules, as the verifier sees them.
#pragma once

#include <span>

#include "tutti/algorithm.h"
#include "tutti/result.h"

namespace tutti {

// For rows that declare no cost. By level where the schedules send less between the outermost groups than in all; else flat, as
// most of the library's rows are.
[[nodiscard]] Result<Cost> measure_cost(std::span<const Schedule> ranks, const std::vector<Grouping>* levels);

}  // namespace tutti
