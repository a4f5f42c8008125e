// Chains side by side, along rings that use different links of the machine (patterns/multi_ring.h) and are cut open before the
// root. Pieces follow each other along each.
//
// Source: multi-ring collectives as in NCCL; S. Jeaugey, "Massively Scale Your Deep Learning Training with NCCL 2.4" (2019).
#include "algorithms/patterns/multi_ring.h"

#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"

namespace tutti::broadcast_algorithms {

Schedule multi_ring(Rank me, const Shape& shape, const Chunking& chunking) {
  const auto rings = multi_ring::rings(shape);
  const bool at_root = me == shape.root;
  Builder b(Collective::broadcast, "multi_ring", me, shape, multi_ring::weights(rings).sum * chunking.pieces);
  multi_ring::for_each(rings, me, [&](const Ring& r, Rank index, std::uint32_t before, std::uint16_t channel) {
    const auto root = static_cast<Rank>(std::find(r.order.begin(), r.order.end(), shape.root) - r.order.begin());
    const Schedule inner = chain(index, {.ranks = shape.ranks, .root = root}, chunking);
    const std::uint32_t first = before * chunking.pieces, count = r.weight * chunking.pieces;
    embed(b, inner, r.order, at_root ? Place{b.input(first, count)} : Place{}, {b.output(first, count)}, channel);
  });
  return std::move(b).finish();
}

Cost multi_ring_cost(const Shape& shape, const Chunking& chunking) {
  const auto rings = multi_ring::rings(shape);
  const auto w = multi_ring::weights(rings);
  const std::uint32_t chunks = w.sum * chunking.pieces;
  if (shape.ranks == 1) return flat_cost(chunks, {});
  const std::uint64_t messages = static_cast<std::uint64_t>(shape.ranks - 1) + chunking.pieces - 1;
  return flat_cost(chunks,
                   {.rounds = messages, .path = messages * w.most, .sent = chunks, .posted = rings.size() * chunking.pieces});
}

}  // namespace tutti::broadcast_algorithms
