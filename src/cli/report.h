// How sub-commands end badly.
#pragma once

#include <string>

#include "tutti/result.h"

namespace tutti {

inline constexpr int kExitFailed = 1, kExitUsage = 2;

// Prints "tutti: what" to stderr and leaves the sub-command with this exit status.
[[noreturn]] void leave(const std::string& what, int status);
// Code::invalid_argument and Code::environment are the user's to mend (2), all else is a failure (1).
[[noreturn]] void leave(const Error& error);

// Writes a whole file, or leaves: a full disk must not pass for success.
void write_file(const std::string& path, const std::string& text);

}  // namespace tutti
