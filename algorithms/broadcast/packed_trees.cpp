// Broadcast down several spanning trees at once (patterns/packed_trees.h), which hang from the root here. Pieces follow each
// other down each.
#include "algorithms/patterns/packed_trees.h"

#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/flat_cost.h"

namespace tutti::broadcast_algorithms {

Schedule packed_trees(Rank me, const Shape& shape, const Chunking& chunking) {
  const auto trees = packed_trees::trees_from(shape);
  const std::uint32_t chunks = multi_ring::weights(trees).sum * chunking.pieces;
  const bool at_root = me == shape.root;
  Builder b(Collective::broadcast, "packed_trees", me, shape, chunks);
  const auto nodes = packed_trees::nodes(trees, me, chunking.pieces);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece)
    for (const auto& node : nodes) packed_trees::send_down(b, node, piece, at_root);
  if (at_root) b.copy(b.input(0, chunks), b.output(0, chunks));
  return std::move(b).finish();
}

Cost packed_trees_cost(const Shape& shape, const Chunking& chunking) {
  const auto m = packed_trees::measure(packed_trees::trees_from(shape), chunking.pieces, 1);
  return flat_cost(m.weights * chunking.pieces,
                   {.rounds = m.rounds, .path = m.path, .sent = m.most_down * chunking.pieces, .posted = m.posted});
}

}  // namespace tutti::broadcast_algorithms
