// All_reduce over several spanning trees at once (patterns/packed_trees.h): up each to its own root, combined, and down again.
// Pieces follow each other.
#include "algorithms/patterns/packed_trees.h"

#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/flat_cost.h"

namespace tutti::all_reduce_algorithms {

Schedule packed_trees(Rank me, const Shape& shape, const Chunking& chunking) {
  const auto trees = packed_trees::trees(shape);
  Builder b(Collective::all_reduce, "packed_trees", me, shape, multi_ring::weights(trees).sum * chunking.pieces);
  const auto nodes = packed_trees::nodes(trees, me, chunking.pieces);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece)
    for (const auto& node : nodes) packed_trees::combine_up(b, node, piece, true);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece)
    for (const auto& node : nodes) packed_trees::send_down(b, node, piece, false);
  return std::move(b).finish();
}

Cost packed_trees_cost(const Shape& shape, const Chunking& chunking) {
  const auto m = packed_trees::measure(packed_trees::trees(shape), chunking.pieces, 2);
  return flat_cost(m.weights * chunking.pieces, {.rounds = m.rounds,
                                                 .path = m.path,
                                                 .sent = m.most_through * chunking.pieces,
                                                 .reduced = m.most_down * chunking.pieces,
                                                 .posted = m.posted});
}

}  // namespace tutti::all_reduce_algorithms
