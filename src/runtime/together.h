// Calls that are run side by side: those of several communicators, and messages between two ranks; collectives of one
// communicator one after the other.
#pragma once

#include <span>

#include "runtime/runner.h"

namespace tutti {

struct RunnerCall {
  Runner* runner;
  Call call;
};

// By the thread that may use all of the runners now. After an error other than Code::invalid_argument all of them are dead.
Status run_together(std::span<const RunnerCall> calls);

}  // namespace tutti
