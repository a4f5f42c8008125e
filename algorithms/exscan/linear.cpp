// Linear exclusive scan. The vector, cut into pieces, travels along the chain of ranks. What arrives at a rank is its result;
// it passes on the result joined by its own contribution on the right. Pieces follow each other, so all ranks work at once.
//
//   0 --a--> 1 --ab--> 2 --abc--> 3
//            a         ab         abc      results
//
// Every rank sends its vector once: least bytes, latency linear in p. For large vectors and few ranks.
// Source: the chain of J. L. Träff, A. Ripke, "Optimal Broadcast for Fully Connected Processor-Node Networks", J. Parallel and
// Distributed Computing 68 (2008), applied to prefix sums.
#include "algorithms/exscan/exscan.h"
#include "algorithms/patterns/flat_cost.h"

namespace tutti::exscan_algorithms {

Schedule linear(Rank me, const Shape& shape, const Chunking& chunking) {
  Builder b(Collective::exscan, "linear", me, shape, chunking.pieces);
  const bool is_last = me + 1 == shape.ranks;
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    if (me == 0) {
      if (!is_last) b.send(b.input(piece), me + 1);
      continue;
    }
    // In place the output is this rank's own contribution, which is still needed.
    const Slice arrival = shape.in_place && !is_last ? b.scratch_like(b.output(piece)) : b.output(piece);
    b.recv(me - 1, arrival);
    if (!is_last) {
      const Slice sum = b.scratch_like(b.output(piece));
      b.copy(b.input(piece), sum);
      b.reduce_left(arrival, sum);
      b.send(sum, me + 1);
    }
    b.copy(arrival, b.output(piece));
  }
  return std::move(b).finish();
}

Cost linear_cost(const Shape& shape, const Chunking& chunking) {
  if (shape.ranks == 1) return flat_cost(chunking.pieces, {});
  const auto hops = static_cast<std::uint64_t>(shape.ranks - 1), pieces = std::uint64_t{chunking.pieces};
  const std::uint64_t rounds = hops + pieces - 1;
  const auto tell = [&](Carried& network) {
    for (Rank r = 1; r < shape.ranks; ++r) network.message(r - 1, r, pieces);
  };
  return flat_cost(chunking.pieces, {.rounds = rounds,
                                     .path = rounds,
                                     .sent = pieces,
                                     .reduced = shape.ranks > 2 ? pieces : 0,
                                     .carried = carried(shape, tell),
                                     .posted = pieces});
}

}  // namespace tutti::exscan_algorithms
