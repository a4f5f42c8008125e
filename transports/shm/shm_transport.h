// Shared memory between ranks of one machine and one user.
//
// Memory is anonymous (memfd): it has no name, no file, and is gone with the last process that maps it. It is handed over a
// Unix socket after both ends have proved that they know the job's secret and that they belong to the same user.
//
// Messages of up to 32 bytes lie in the cache line that announces them; those below some megabytes go through a ring in two
// copies that overlap; larger ones are read from the sender's memory (CMA) where the system permits it.
//
// A sleeper waits on a futex that peers ring. A peer that is killed cannot: sleep for 100 ms or less at a time.
#pragma once

#include <memory>

#include "tutti/transport.h"

namespace tutti {

// Uses secret, rank, local_ranks, shm_bytes (at most so much memory for all connections of this rank) and cma.
[[nodiscard]] std::unique_ptr<Transport> make_shm(const TransportOptions& options);

}  // namespace tutti
