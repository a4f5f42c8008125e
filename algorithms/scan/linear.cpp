// Linear scan. The vector, cut into pieces, travels along the chain of ranks; each joins its own contribution on the right,
// keeps the result and passes it on. Pieces follow each other, so all ranks work at once on different ones.
//
//   0 --a--> 1 --ab--> 2 --abc--> 3
//
// Every rank sends its vector once: least bytes, latency linear in p. For large vectors and few ranks.
// Source: the chain of J. L. Träff, A. Ripke, "Optimal Broadcast for Fully Connected Processor-Node Networks", J. Parallel and
// Distributed Computing 68 (2008), applied to prefix sums.
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/scan/scan.h"

namespace tutti::scan_algorithms {

Schedule linear(Rank me, const Shape& shape, const Chunking& chunking) {
  Builder b(Collective::scan, "linear", me, shape, chunking.pieces);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    if (me > 0) {
      const Slice arrival = b.scratch_like(b.output(piece));
      b.recv(me - 1, arrival);
      b.copy(b.input(piece), b.output(piece));
      b.reduce_left(arrival, b.output(piece));
    } else {
      b.copy(b.input(piece), b.output(piece));
    }
    if (me + 1 < shape.ranks) b.send(me > 0 ? b.output(piece) : b.input(piece), me + 1);
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
  return flat_cost(
      chunking.pieces,
      {.rounds = rounds, .path = rounds, .sent = pieces, .reduced = pieces, .carried = carried(shape, tell), .posted = pieces});
}

}  // namespace tutti::scan_algorithms
