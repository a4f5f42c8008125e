// Words that explanations have in common.
#pragma once

#include <string>
#include <string_view>

#include "select/select.h"

namespace tutti {

[[nodiscard]] std::string_view said(Origin origin);  // who says so
// Where from on bytes move another way than through memory that both sides write, in turns; may be empty.
[[nodiscard]] std::string ways_of(const LinkTuning& tuning);
[[nodiscard]] std::string scope_of(const JobMachine& machine, std::size_t link);  // "inside a package"
// The largest term of a price, and over which link.
[[nodiscard]] std::string most_of(const Candidate& candidate, const JobMachine& machine);

}  // namespace tutti
