// Scatter algorithms: every rank ends up with its block of what the root has. Blocks may have any sizes (scatterv).
#pragma once

#include "algorithms/registry.h"

namespace tutti::scatter_algorithms {

[[nodiscard]] Schedule knomial(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost knomial_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule direct(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost direct_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule hierarchical(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost hierarchical_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule bine(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost bine_cost(const Shape& shape, const Chunking& chunking);

}  // namespace tutti::scatter_algorithms
