// Barrier algorithms: all_reduces of a single chunk without bytes, whose contributions may arrive more than once.
#pragma once

#include "algorithms/registry.h"

namespace tutti::barrier_algorithms {

[[nodiscard]] Schedule direct(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost direct_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule dissemination(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost dissemination_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule tree(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost tree_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule hierarchical(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost hierarchical_cost(const Shape& shape, const Chunking& chunking);

}  // namespace tutti::barrier_algorithms
