// Which machine this is.
#pragma once

#include <string>

namespace tutti {

// Random, made anew at every boot, and the same in all containers and namespaces of one kernel; empty where it cannot be read.
[[nodiscard]] std::string boot_id();

}  // namespace tutti
