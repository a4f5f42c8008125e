// How sub-commands end badly.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tutti/result.h"

namespace tutti {

class Communicator;

inline constexpr int kExitFailed = 1, kExitUsage = 2;

// Prints "tutti: what" to stderr and leaves the sub-command with this exit status.
[[noreturn]] void leave(const std::string& what, int status);
// Code::invalid_argument and Code::environment are the user's to mend (2), all else is a failure (1).
[[noreturn]] void leave(const Error& error);

// Called by all ranks, each with what it has found. Where any has an error, the lowest such rank prints it, and all leave with
// the exit status it stands for.
void leave_if_any(Communicator& comm, const Status& mine);

// Called by all ranks. Where they were not started with the same options, each says which differs first from its own, and all
// leave.
using OptionValues = std::vector<std::pair<std::string_view, std::string>>;  // by name
void leave_if_unlike(Communicator& comm, const OptionValues& mine);

}  // namespace tutti
