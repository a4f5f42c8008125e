// Runs schedules on numbers, one random interleaving at a time: a second opinion on what the verifier says, that shares no
// code with it. Nothing is buffered; while a step is under way its target holds garbage and a send may read at any moment.
#pragma once

#include <string>
#include <vector>

#include "tutti/schedule.h"

namespace tutti::interpreter {

// Empty when every output is right; otherwise what is wrong. The schedules must be well-formed and matched.
[[nodiscard]] std::string run(const std::vector<Schedule>& ranks, bool ordered, std::uint64_t seed);

}  // namespace tutti::interpreter
