// See patterns/direct_prefix.h.
#include "algorithms/patterns/direct_prefix.h"
#include "algorithms/scan/scan.h"

namespace tutti::scan_algorithms {

Schedule direct(Rank me, const Shape& shape, const Chunking& chunking) {
  return direct_prefix::build(Collective::scan, me, shape, chunking);
}

Cost direct_cost(const Shape& shape, const Chunking& chunking) { return direct_prefix::cost(Collective::scan, shape, chunking); }

}  // namespace tutti::scan_algorithms
