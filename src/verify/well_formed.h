#pragma once

#include "tutti/schedule.h"
#include "verify/layout.h"

namespace tutti::verifier {

// The set as a whole: rank r at place r, all of one collective, size, root and chunking.
[[nodiscard]] Status check_set(std::span<const Schedule> ranks);

// One rank's steps on their own: slices, permissions, peers, dependencies. Adds the chunks they touch to `touched`.
[[nodiscard]] Status check_steps(const Schedule& schedule, const Layout& layout, std::uint64_t& touched);

}  // namespace tutti::verifier
