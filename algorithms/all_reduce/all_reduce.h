// All_reduce algorithms: every rank ends up with the combination of all inputs, and with the same bits.
#pragma once

#include "algorithms/registry.h"

namespace tutti::all_reduce_algorithms {

[[nodiscard]] Schedule direct(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost direct_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule two_shot(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost two_shot_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule recursive_doubling(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost recursive_doubling_cost(const Shape& shape, const Chunking& chunking);
[[nodiscard]] bool recursive_doubling_is_canonical(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule halving_doubling(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost halving_doubling_cost(const Shape& shape, const Chunking& chunking);
// Of `pieces` vectors one after the other between the same ranks. An upper bound, exact for one piece or a power of two of ranks.
[[nodiscard]] LevelCost repeated_halving_doubling_cost(Rank ranks, std::uint32_t pieces);

[[nodiscard]] Schedule circulant(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost circulant_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule ring(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost ring_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule double_binary_tree(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost double_binary_tree_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule reduce_broadcast(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost reduce_broadcast_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule hierarchical(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost hierarchical_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule hierarchical_scatter(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost hierarchical_scatter_cost(const Shape& shape, const Chunking& chunking);
[[nodiscard]] Schedule hierarchical_two_shot(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost hierarchical_two_shot_cost(const Shape& shape, const Chunking& chunking);
[[nodiscard]] bool hierarchical_two_shot_is_canonical(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule multi_ring(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost multi_ring_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule packed_trees(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost packed_trees_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule swing(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost swing_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule swing_latency(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost swing_latency_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule bine(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost bine_cost(const Shape& shape, const Chunking& chunking);

}  // namespace tutti::all_reduce_algorithms
