// Pipelined chain broadcast: the ranks stand in a line that starts at the root, and each passes the data on to the next. The
// data is cut into pieces, so that with m pieces the last rank is done p-2+m piece times after the start. Every link carries
// the data just once, and neighbours talk to neighbours only.
//
//   root 0     0 -- piece 0 --> 1 -- piece 0 --> 2 -- piece 0 --> 3
//              0 -- piece 1 --> 1 -- piece 1 --> 2 -- piece 1 --> 3        one hop behind
//
// Source: folklore; "pipeline" broadcast in J. Pjesivac-Grbovic et al., "Performance Analysis of MPI Collective Operations",
// Cluster Computing 10 (2007).
#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"

namespace tutti::broadcast_algorithms {

Schedule chain(Rank me, const Shape& shape, const Chunking& chunking) {
  const Rank p = shape.ranks, next = ring::right(me, p);
  const bool at_root = me == shape.root;
  Builder b(Collective::broadcast, "chain", me, shape, chunking.pieces);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    if (!at_root) b.recv(ring::left(me, p), b.output(piece));
    if (next != shape.root) b.send(at_root ? b.input(piece) : b.output(piece), next);
  }
  if (at_root) b.copy(b.input(0, chunking.pieces), b.output(0, chunking.pieces));
  return std::move(b).finish();
}

Cost chain_cost(const Shape& shape, const Chunking& chunking) {
  if (shape.ranks == 1) return flat_cost(chunking.pieces, {});
  const std::uint64_t messages = static_cast<std::uint64_t>(shape.ranks - 1) + chunking.pieces - 1;
  const auto tell = [&](Carried& network) {
    for (Rank i = 1; i < shape.ranks; ++i)
      network.message(ring::shift(shape.root, i - 1, shape.ranks), ring::shift(shape.root, i, shape.ranks), chunking.pieces);
  };
  return flat_cost(chunking.pieces, {.rounds = messages,
                                     .path = messages,
                                     .sent = chunking.pieces,
                                     .carried = carried(shape, tell),
                                     .posted = chunking.pieces});
}

}  // namespace tutti::broadcast_algorithms
