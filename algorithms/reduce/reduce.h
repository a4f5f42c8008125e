// Reduce algorithms: the root ends up with the combination of all inputs.
#pragma once

#include "algorithms/registry.h"

namespace tutti::reduce_algorithms {

[[nodiscard]] Schedule knomial(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost knomial_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule kary_tree(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost kary_tree_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule circulant(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost circulant_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule direct(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost direct_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule two_shot(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost two_shot_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule scatter_gather(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost scatter_gather_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule hierarchical_scatter(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost hierarchical_scatter_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule packed_trees(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost packed_trees_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule bine(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost bine_cost(const Shape& shape, const Chunking& chunking);

}  // namespace tutti::reduce_algorithms
