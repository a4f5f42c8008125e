#pragma once

#include "tutti/schedule.h"
#include "verify/layout.h"

namespace tutti::verifier {

// Any two steps of a rank that touch a cell, one of them writing, are joined by a chain of the rank's own dependencies: a
// step holds its slices from when it starts until it completes, and only a dependency waits for completion. (What a message
// happens to order by way of other ranks is not relied upon.)
[[nodiscard]] Status check_races(const Schedule& schedule, const Layout& layout);

}  // namespace tutti::verifier
