// Ring all_gathers side by side, over rings that use different links of the machine (patterns/multi_ring.h). Each ring carries
// its part of every block.
//
// Source: multi-ring collectives as in NCCL; S. Jeaugey, "Massively Scale Your Deep Learning Training with NCCL 2.4" (2019).
#include "algorithms/patterns/multi_ring.h"

#include "algorithms/all_gather/all_gather.h"
#include "algorithms/patterns/flat_cost.h"

namespace tutti::all_gather_algorithms {

Schedule multi_ring(Rank me, const Shape& shape, const Chunking& chunking) {
  const auto rings = multi_ring::rings(shape);
  const std::uint32_t block = multi_ring::weights(rings).sum * chunking.pieces;
  Builder b(Collective::all_gather, "multi_ring", me, shape, block);
  multi_ring::for_each(rings, me, [&](const Ring& r, Rank index, std::uint32_t before, std::uint16_t channel) {
    const std::uint32_t first = before * chunking.pieces, count = r.weight * chunking.pieces;
    Place blocks;
    for (const Rank rank : r.order) blocks.push_back(b.output(static_cast<std::uint32_t>(rank) * block + first, count));
    embed(b, ring(index, {.ranks = shape.ranks}, {.pieces = count}), r.order, {b.input(first, count)}, blocks, channel);
  });
  return std::move(b).finish();
}

Cost multi_ring_cost(const Shape& shape, const Chunking& chunking) {
  const auto w = multi_ring::weights(multi_ring::rings(shape));
  const std::uint64_t messages = static_cast<std::uint64_t>(shape.ranks - 1) * chunking.pieces;
  return flat_cost(
      w.sum * chunking.pieces,
      {.rounds = messages * w.most, .path = messages * w.most, .sent = messages * w.sum, .posted = messages * w.sum});
}

}  // namespace tutti::all_gather_algorithms
