// A communicator of one rank: every collective is a copy at most.
#pragma once

#include "runtime/request.h"

namespace tutti {

// Never waits, never fails and allocates nothing.
void run_alone(const Request& request);

}  // namespace tutti
