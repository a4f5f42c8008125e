// Tree barrier. All ranks report up a k-nomial tree to rank 0, which then releases them down the same tree: an all_reduce by
// reduce and broadcast of nothing.
//
//   4 ranks, k=2  0               up:   1 -> 0, 3 -> 2, then 2 -> 0
//               1   2             down: 0 -> 1, 0 -> 2, then 2 -> 3
//                     3
//
// 2(p-1) messages in all, where dissemination has p (k-1) log_k(p): for ranks that share cores or wires.
// Source: J. Mellor-Crummey, M. Scott, "Algorithms for Scalable Synchronization on Shared-Memory Multiprocessors", ACM Trans.
// Computer Systems 9 (1991).
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/barrier/barrier.h"

namespace tutti::barrier_algorithms {

Schedule tree(Rank me, const Shape& shape, const Chunking& chunking) {
  Builder b(Collective::barrier, "tree", me, shape, 1);
  embed(b, all_reduce_algorithms::reduce_broadcast(me, {.ranks = shape.ranks}, {.radix = chunking.radix}), same_rank,
        {b.input(0)}, {b.output(0)});
  return std::move(b).finish();
}

Cost tree_cost(const Shape& shape, const Chunking& chunking) {
  return all_reduce_algorithms::reduce_broadcast_cost(shape, {.radix = chunking.radix});
}

}  // namespace tutti::barrier_algorithms
