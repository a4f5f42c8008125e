// Reduce_scatter algorithms: the blocks of all ranks are combined, and rank r ends up with block r. Blocks may have any sizes
// (reduce_scatterv): no algorithm here joins two blocks into one chunk.
#pragma once

#include "algorithms/registry.h"

namespace tutti::reduce_scatter_algorithms {

[[nodiscard]] Schedule direct(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost direct_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule pairwise(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost pairwise_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule ring(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost ring_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule recursive_halving(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost recursive_halving_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule circulant(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost circulant_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule pat(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost pat_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule hierarchical_rails(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost hierarchical_rails_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule multi_ring(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost multi_ring_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule swing(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost swing_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule bine(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost bine_cost(const Shape& shape, const Chunking& chunking);

}  // namespace tutti::reduce_scatter_algorithms
