// Scan algorithms: rank r ends up with the combination of the inputs of ranks 0 to r.
#pragma once

#include "algorithms/registry.h"

namespace tutti::scan_algorithms {

[[nodiscard]] Schedule recursive_doubling(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost recursive_doubling_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule linear(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost linear_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule direct(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost direct_cost(const Shape& shape, const Chunking& chunking);

}  // namespace tutti::scan_algorithms
