// All_to_all algorithms: rank r's input block d becomes block r of rank d's output.
#pragma once

#include "algorithms/registry.h"

namespace tutti::all_to_all_algorithms {

[[nodiscard]] Schedule pairwise(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost pairwise_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule bruck(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost bruck_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule direct(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost direct_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule hierarchical(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost hierarchical_cost(const Shape& shape, const Chunking& chunking);

}  // namespace tutti::all_to_all_algorithms
