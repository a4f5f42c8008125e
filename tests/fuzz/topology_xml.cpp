// hwloc's files.
#include "tests/fuzz/topologies.h"
#include "topology/sources/hwloc_xml.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  const auto document = parse_xml(text_of(input));
  if (parsed(document)) use(topology_from_hwloc(*document, Origin::file));
}

}  // namespace tutti::fuzz
