// This machine, through hwloc.
#include <hwloc.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "topology/sources/cgroup.h"
#include "topology/sources/hwloc_xml.h"
#include "topology/sources/network.h"
#include "topology/sources/nvml.h"
#include "topology/sources/pci_sysfs.h"
#include "topology/virtual_machine.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

struct Destroy {
  void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
using Hwloc = std::unique_ptr<hwloc_topology, Destroy>;

Result<Hwloc> load_hwloc() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return system_error(errno, "hwloc_topology_init");
  Hwloc topology(raw);
  // Every PU is kept, allowed or not: processes of one host in different containers must count its cores alike.
  hwloc_topology_set_flags(raw, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  // These start whole device runtimes or talk to an X server; what they add is not used. "pci" goes through libpciaccess, which
  // leaks: without it hwloc reads the same from sysfs.
  for (const char* component : {"cuda", "opencl", "gl", "levelzero", "pci"}) {
    hwloc_topology_set_components(raw, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, component);
  }
  if (hwloc_topology_load(raw) != 0) return system_error(errno, "hwloc_topology_load");
  return topology;
}

Result<std::string> export_xml(hwloc_topology_t topology) {
  char* buffer = nullptr;
  int size = 0;
  if (hwloc_topology_export_xmlbuffer(topology, &buffer, &size, 0) != 0)
    return system_error(errno, "hwloc_topology_export_xmlbuffer");
  std::string xml(buffer, static_cast<std::size_t>(size));
  hwloc_free_xmlbuffer(topology, buffer);
  while (xml.ends_with('\0')) xml.pop_back();
  return xml;
}

// Only where there are GPUs is a driver's library taken into this process.
void add_gpus(Topology& topology) {
  if (std::ranges::find(topology.nodes, NodeKind::gpu, &Node::kind) == topology.nodes.end()) return;
  if (const auto nvml = load_nvml()) add_nvml(topology, *nvml);
}

}  // namespace

Result<Topology> discover() {
  auto hwloc = load_hwloc();
  if (!hwloc) return hwloc.because("discovering this machine");
  auto xml = export_xml(hwloc->get());
  if (!xml) return xml.because("discovering this machine");
  auto document = parse_xml(*xml);
  if (!document) return document.because("reading what hwloc found");
  auto topology = topology_from_hwloc(*document, Origin::hwloc);
  if (!topology) return topology.because("reading what hwloc found");
  // HWLOC_XMLFILE and the like make hwloc describe another machine: then nothing of this one belongs to it.
  if (hwloc_topology_is_thissystem(hwloc->get()) == 0) return topology;
  const CgroupLimits limits = read_cgroup_limits();
  topology->nodes.front().cpu_quota = limits.cpu_quota;
  topology->nodes.front().memory_limit_bytes = limits.memory_bytes;
  add_pci_speeds(*topology);
  add_gpus(*topology);
  topology->nodes.front().virtual_machine = signs_of_virtual_machine(read_machine_signs(), *topology, 0);
  add_network(*topology);
  if (Status status = check(*topology); !status) return status.because("discovering this machine");
  return topology;
}

Result<std::vector<int>> current_binding() {
  for (std::size_t cpus = 1024; cpus <= (1u << 20); cpus *= 4) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(cpus), [](cpu_set_t* s) { CPU_FREE(s); });
    const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
    if (set == nullptr) return Error(Code::resource, "no memory for the set of CPUs");
    if (sched_getaffinity(0, bytes, set.get()) != 0) {
      if (errno == EINVAL) continue;  // the kernel's set is larger
      return system_error(errno, "sched_getaffinity");
    }
    std::vector<int> bound;
    for (std::size_t cpu = 0; cpu < bytes * 8; ++cpu) {
      if (CPU_ISSET_S(cpu, bytes, set.get())) bound.push_back(static_cast<int>(cpu));
    }
    return bound;
  }
  return Error(Code::unsupported, "sched_getaffinity: this kernel knows more than a million CPUs");
}

}  // namespace tutti
