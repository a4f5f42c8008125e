// Whole files.
#pragma once

#include <cstdint>
#include <string>

#include "tutti/result.h"

namespace tutti {

// Code::invalid_argument where it cannot be read, or is longer; both name the file.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::uint64_t most_bytes);

}  // namespace tutti
