#include "tests/fuzz/topologies.h"
#include "topology/sources/synthetic.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) { use(topology_from_synthetic(text_of(input))); }

}  // namespace tutti::fuzz
