// The topology files of NCCL and RCCL (NCCL_TOPO_FILE, NCCL_TOPO_DUMP_FILE) into the plain graph: system > cpu > pci > gpu, nic.
// A "cpu" is a NUMA node. Clouds hand such files out for their virtual machines, which do not show their PCI switches.
// Source: NCCL's documentation of NCCL_TOPO_FILE, and files that NCCL and RCCL have written.
#pragma once

#include "topology/xml.h"
#include "tutti/topology.h"

namespace tutti {

// Code::protocol where the document is no such machine; the result passes check().
Result<Topology> topology_from_nccl(const XmlDocument& document);

}  // namespace tutti
