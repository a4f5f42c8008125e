// Reduce up several spanning trees at once (patterns/packed_trees.h), which hang from the root here. Pieces follow each other up
// each.
#include "algorithms/patterns/packed_trees.h"

#include "algorithms/patterns/flat_cost.h"
#include "algorithms/reduce/reduce.h"

namespace tutti::reduce_algorithms {

Schedule packed_trees(Rank me, const Shape& shape, const Chunking& chunking) {
  const auto trees = packed_trees::trees_from(shape);
  Builder b(Collective::reduce, "packed_trees", me, shape, multi_ring::weights(trees).sum * chunking.pieces);
  const auto nodes = packed_trees::nodes(trees, me, chunking.pieces);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece)
    for (const auto& node : nodes) packed_trees::combine_up(b, node, piece, false);
  return std::move(b).finish();
}

Cost packed_trees_cost(const Shape& shape, const Chunking& chunking) {
  const auto m = packed_trees::measure(packed_trees::trees_from(shape), chunking.pieces, 1);
  const std::uint32_t chunks = m.weights * chunking.pieces;
  return flat_cost(chunks, {.rounds = m.rounds,
                            .path = m.path,
                            .sent = shape.ranks > 1 ? chunks : 0,
                            .reduced = m.most_down * chunking.pieces,
                            .taken = m.most_down * chunking.pieces,
                            .posted = m.posted});
}

}  // namespace tutti::reduce_algorithms
