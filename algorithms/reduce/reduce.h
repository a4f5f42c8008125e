// Reduce algorithms: the root ends up with the combination of all inputs.
#pragma once

#include "algorithms/registry.h"

namespace tutti::reduce_algorithms {

[[nodiscard]] Schedule binomial(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost binomial_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule direct(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost direct_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule two_shot(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost two_shot_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule scatter_gather(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost scatter_gather_cost(const Shape& shape, const Chunking& chunking);

[[nodiscard]] Schedule bine(Rank me, const Shape& shape, const Chunking& chunking);
[[nodiscard]] Cost bine_cost(const Shape& shape, const Chunking& chunking);

}  // namespace tutti::reduce_algorithms
