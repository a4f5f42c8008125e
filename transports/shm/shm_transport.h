// Shared memory between ranks of one machine and one user.
//
// Memory is anonymous (memfd): it has no name, no file, and is gone with the last process that maps it. It is handed over a
// Unix socket after both ends have proved that they know the job's secret and that they belong to the same user.
//
// The smallest messages lie in the cache lines that announce them; others go through memory that both sides write in turns
// (cells.h); from LinkTuning::direct_from on they are read from the sender's memory (CMA) where the system permits it. layout.h
// has the sizes.
//
// A sleeper waits on a futex that peers ring. A peer that is killed cannot: sleep for some milliseconds only, then look.
#pragma once

#include <memory>

#include "tutti/transport.h"

namespace tutti {

// Uses secret, rank, local_ranks, l2_bytes, cma and shm_bytes (memory for all boards and connections of this rank; those that no
// longer find room in it get the least that they can do with, until there are so many that they hold four times as much).
[[nodiscard]] std::unique_ptr<Transport> make_shm(const TransportOptions& options);

}  // namespace tutti
