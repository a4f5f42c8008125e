// NCCL's files.
#include "tests/fuzz/topologies.h"
#include "topology/sources/nccl_xml.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  const auto document = parse_xml(text_of(input));
  if (parsed(document)) use(topology_from_nccl(*document));
}

}  // namespace tutti::fuzz
