// Pieces of the text form (see print and parse_schedules) that messages use as well.
#pragma once

#include <string>
#include <vector>

#include "tutti/schedule.h"

namespace tutti {

// "output[3]", "input[0:4]" (chunks 0 to 3)
[[nodiscard]] std::string slice_text(const Slice& slice);
// "send input[0:4] -> 3 channel 1", without dependencies
[[nodiscard]] std::string step_text(const Schedule& schedule, const Step& step);

// And the lines on which the schedules begin, counted from 1.
[[nodiscard]] Result<std::vector<Schedule>> parse_schedules(std::string_view text, std::vector<std::size_t>& lines);

}  // namespace tutti
