// See patterns/direct_prefix.h.
#include "algorithms/exscan/exscan.h"
#include "algorithms/patterns/direct_prefix.h"

namespace tutti::exscan_algorithms {

Schedule direct(Rank me, const Shape& shape, const Chunking& chunking) {
  return direct_prefix::build(Collective::exscan, me, shape, chunking);
}

Cost direct_cost(const Shape& shape, const Chunking& chunking) {
  return direct_prefix::cost(Collective::exscan, shape, chunking);
}

}  // namespace tutti::exscan_algorithms
