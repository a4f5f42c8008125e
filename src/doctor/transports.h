// Which transports ranks would use, best first.
#pragma once

#include <string>
#include <vector>

#include "transports/registry.h"

namespace tutti::doctor {

class System;
struct Facts;

// What TUTTI_TRANSPORT allows.
[[nodiscard]] Result<std::vector<const TransportRow*>> allowed_transports(const System& system);
// Whether verbs is among these.
[[nodiscard]] bool allows_verbs(const System& system);

// "shm, else tcp over eth0": what joins two ranks; empty: nothing does.
[[nodiscard]] std::string ways_between(const Facts& a, const Facts& b);

}  // namespace tutti::doctor
