// Ring all_reduces side by side, over rings that use different links of the machine (patterns/multi_ring.h). The vector is
// shared between the rings in proportion to their bandwidths, so that all of them are done at the same time.
//
// Source: multi-ring all-reduce as in NCCL; S. Jeaugey, "Massively Scale Your Deep Learning Training with NCCL 2.4" (2019).
#include "algorithms/patterns/multi_ring.h"

#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/flat_cost.h"

namespace tutti::all_reduce_algorithms {

Schedule multi_ring(Rank me, const Shape& shape, const Chunking& chunking) {
  const auto rings = multi_ring::rings(shape);
  const std::uint32_t unit = static_cast<std::uint32_t>(shape.ranks) * chunking.pieces;
  Builder b(Collective::all_reduce, "multi_ring", me, shape, multi_ring::weights(rings).sum * unit);
  multi_ring::for_each(rings, me, [&](const Ring& r, Rank index, std::uint32_t before, std::uint16_t channel) {
    const std::uint32_t first = before * unit, count = r.weight * unit;
    embed(b, ring(index, {.ranks = shape.ranks}, chunking), r.order, {b.input(first, count)}, {b.output(first, count)}, channel);
  });
  return std::move(b).finish();
}

Cost multi_ring_cost(const Shape& shape, const Chunking& chunking) {
  const auto rings = multi_ring::rings(shape);
  const auto w = multi_ring::weights(rings);
  const std::uint64_t half = static_cast<std::uint64_t>(shape.ranks - 1) * chunking.pieces;
  return flat_cost(w.sum * static_cast<std::uint32_t>(shape.ranks) * chunking.pieces, {.rounds = 2 * half,
                                                                                       .path = 2 * half * w.most,
                                                                                       .sent = 2 * half * w.sum,
                                                                                       .reduced = half * w.sum,
                                                                                       .posted = 2 * half * rings.size()});
}

}  // namespace tutti::all_reduce_algorithms
