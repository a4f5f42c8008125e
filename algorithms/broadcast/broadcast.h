// Broadcast algorithms: every rank ends up with what the root has.
#pragma once

#include "algorithms/registry.h"

namespace tutti::broadcast_algorithms {

[[nodiscard]] Schedule direct(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost direct_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule knomial(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost knomial_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule chain(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost chain_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule scatter_all_gather(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost scatter_all_gather_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule double_binary_tree(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost double_binary_tree_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule kary_tree(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost kary_tree_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule circulant(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost circulant_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule hierarchical(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost hierarchical_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule hierarchical_scatter(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost hierarchical_scatter_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule multi_ring(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost multi_ring_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule packed_trees(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost packed_trees_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule bine(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost bine_cost(const Shape& shape, const Chunking& chunking);

}  // namespace tutti::broadcast_algorithms
