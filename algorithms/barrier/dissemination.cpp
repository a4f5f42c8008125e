// Dissemination barrier, for any radix k. Having heard of a rank means knowing that it has entered the barrier. In the round with
// distance d (1, k, k^2, ...) every rank tells those d, 2d, ..., (k-1)d further on what it has heard of, so what a rank has heard
// of grows k times: after ceil(log_k p) rounds it is everybody. With p no power of k some are heard of twice, which does no harm.
//
//   ranks, k = 2      0       1       2       3
//   d = 1             0->1    1->2    2->3    3->0      each has heard of 2
//   d = 2             0->2    1->3    2->0    3->1      each has heard of 4
//
// Source: D. Hensgen, R. Finkel, U. Manber, "Two Algorithms for Barrier Synchronization", Int. J. Parallel Programming 17
// (1988), for k = 2; T. Hoefler, T. Mehlan, F. Mietke, W. Rehm, "Fast Barrier Synchronization for InfiniBand", IPDPS 2006
// (n-way).
#include <algorithm>

#include "algorithms/barrier/barrier.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"

namespace tutti::barrier_algorithms {
namespace {

// visit(distance, peers) for each round; in the last one no more peers than are needed.
template <class Visit>
void for_each_distance(Rank ranks, Rank radix, Visit&& visit) {
  for (std::int64_t distance = 1; distance < ranks; distance *= radix)
    visit(static_cast<Rank>(distance), std::min(radix - 1, static_cast<Rank>((ranks - 1) / distance)));
}

}  // namespace

Schedule dissemination(Rank me, const Shape& shape, const Chunking& chunking) {
  Builder b(Collective::barrier, "dissemination", me, shape, 1);
  Slice heard = b.input(0);
  for_each_distance(shape.ranks, static_cast<Rank>(chunking.radix), [&](Rank distance, Rank peers) {
    const bool last = std::int64_t{distance} * (peers + 1) >= shape.ranks;
    const Slice all = last ? b.output(0) : b.scratch_like(b.output(0));
    std::vector<Slice> arrivals;
    for (Rank i = 1; i <= peers; ++i) {
      b.send(heard, ring::shift(me, i * distance, shape.ranks));
      arrivals.push_back(b.scratch_like(b.output(0)));
      b.recv(ring::shift(me, -i * distance, shape.ranks), arrivals.back());
    }
    b.copy(heard, all);
    for (const Slice& arrival : arrivals) b.reduce_left(arrival, all);
    heard = all;
  });
  b.copy(heard, b.output(0));  // a single rank has heard of nobody else
  return std::move(b).finish();
}

Cost dissemination_cost(const Shape& shape, const Chunking& chunking) {
  std::uint64_t rounds = 0, messages = 0;
  for_each_distance(shape.ranks, static_cast<Rank>(chunking.radix), [&](Rank, Rank peers) {
    ++rounds;
    messages += static_cast<std::uint64_t>(peers);
  });
  const auto tell = [&](Carried& network) {
    for_each_distance(shape.ranks, static_cast<Rank>(chunking.radix), [&](Rank distance, Rank peers) {
      for (Rank i = 1; i <= peers; ++i) network.shift(i * distance, 1);
    });
  };
  return flat_cost(1, {.rounds = rounds,
                       .path = rounds,
                       .sent = messages,
                       .reduced = messages,
                       .carried = carried(shape, tell),
                       .posted = messages});
}

}  // namespace tutti::barrier_algorithms
