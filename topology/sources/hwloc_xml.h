// hwloc's XML (formats 1, 2 and 3) into the plain graph. This machine takes the same way: hwloc discovers it and writes
// XML in memory. The reader is our own, because a library refuses files that are newer than itself (Debian 12's refuses
// format 3) and is not made for hostile ones.
// Source: hwloc's hwloc2.dtd and its manual, "Importing and exporting topologies from/to XML files".
#pragma once

#include "topology/xml.h"
#include "tutti/topology.h"

namespace tutti {

// `origin` is written into the links: hwloc for this machine, file for a file. Code::protocol where the document is not
// a machine; the result passes check().
Result<Topology> topology_from_hwloc(const XmlDocument& document, Origin origin);

}  // namespace tutti
