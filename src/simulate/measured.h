// What a job has measured, for who simulates others like it: `tutti explain COLLECTIVE --json`, started by mpirun, says it.
#pragma once

#include <string_view>

#include "select/select.h"
#include "tutti/result.h"

namespace tutti::simulate {

// Latency and bandwidth of the machine's links, and what a core combines and copies, become those that `json` says.
// Code::invalid_argument where it is no such text, or of a machine with another number of levels.
Status take_measured(JobMachine& machine, std::string_view json);

}  // namespace tutti::simulate
