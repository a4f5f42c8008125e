// This machine's description with what is wrong in it put right.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "doctor/system.h"

namespace tutti::doctor {

struct Corrected {
  Topology topology;
  std::vector<std::string> changes;  // for a person, one line each
};
// `network`: what a job has measured between hosts. The result has passed check().
[[nodiscard]] Result<Corrected> correct(const System& system, const std::optional<LinkParameters>& network);

}  // namespace tutti::doctor
