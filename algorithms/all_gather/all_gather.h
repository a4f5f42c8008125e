// All_gather algorithms: every rank ends up with the blocks of all. Blocks may have any sizes (all_gatherv): no algorithm
// here ever joins two blocks into one chunk.
#pragma once

#include "algorithms/registry.h"

namespace tutti::all_gather_algorithms {

[[nodiscard]] Schedule direct(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost direct_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule ring(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost ring_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule recursive_doubling(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost recursive_doubling_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule bruck(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost bruck_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule circulant(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost circulant_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule sparbit(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost sparbit_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule pat(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost pat_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule neighbour_exchange(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost neighbour_exchange_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule hierarchical(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost hierarchical_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule hierarchical_rails(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost hierarchical_rails_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule multi_ring(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost multi_ring_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule swing(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost swing_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule bine(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost bine_cost(const Shape& shape, const Chunking& chunking);

}  // namespace tutti::all_gather_algorithms
