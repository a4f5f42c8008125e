// Calls in the order of CUDA streams. What a stream has been given before is done before such a call begins, and what it is given
// afterwards waits for it, while the thread that makes the call goes on at once: but for the first call of its shape, for which
// the ranks' devices may have to meet.
#pragma once

#include <span>

#include "runtime/host_round.h"

namespace tutti {

// All side by side: each of their streams waits for all of them. A communicator's collectives keep their order.
Status enqueue(const gpu::Driver& driver, std::span<const StreamCall> calls);

}  // namespace tutti
