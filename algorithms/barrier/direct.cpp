// Direct barrier: every rank tells all others at once that it has entered. A single round, with p-1 messages of each rank; where
// ranks publish, with one. It is the direct all_reduce of nothing.
//
//   ranks      0             1             2             3
//   tells      1 2 3         2 3 0         3 0 1         0 1 2
//
// Source: the all-to-all barrier of the textbooks, the "central" one of J. Mellor-Crummey and M. Scott, "Algorithms for Scalable
// Synchronization on Shared-Memory Multiprocessors" (1991), with a flag for each rank in place of its counter.
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/barrier/barrier.h"

namespace tutti::barrier_algorithms {

Schedule direct(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::barrier, "direct", me, shape, 1);
  embed(b, all_reduce_algorithms::direct(me, shape, {}), same_rank, {b.input(0)}, {b.output(0)});
  return std::move(b).finish();
}

Cost direct_cost(const Shape& shape, const Chunking&) { return all_reduce_algorithms::direct_cost(shape, {}); }

}  // namespace tutti::barrier_algorithms
