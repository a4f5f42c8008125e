#include "tests/fuzz/topologies.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) { use(topology_from_json(text_of(input))); }

}  // namespace tutti::fuzz
