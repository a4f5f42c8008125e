// Sources: NVIDIA's user guides of the DGX-2, DGX A100, DGX H100/H200 and DGX B200 (processors, PCIe, NVLink, adapters);
// AMD's data sheet of the Instinct MI300X platform, with processors as in the RCCL project's description of such a machine.
// GPUs and adapters share PCIe switches in pairs as those guides draw it. Latencies of networks are an estimate of ours.
#include "topology/sources/presets.h"

#include <algorithm>
#include <array>

namespace tutti {
namespace {

constexpr std::array<Preset, 6> kPresets = {{
    {"dgx-2",
     "package:2 numa:1(memory=768GiB) l3:1(size=33MiB) core:24 pu:2 pci_switch:8 gpu:16(memory=32GiB) nic:8 "
     "pcie=15.75GB/s nvlink=150GB/s net=12.5GB/s net_latency=2us"},
    {"dgx-a100",
     "package:2 numa:4(memory=256GiB) l3:4(size=16MiB) core:4 pu:2 pci_switch:4 gpu:8(memory=80GiB) nic:8 "
     "pcie=31.5GB/s nvlink=300GB/s net=25GB/s net_latency=2us"},
    {"dgx-h100",
     "package:2 numa:1(memory=1024GiB) l3:1(size=105MiB) core:56 pu:2 pci_switch:4 gpu:8(memory=80GiB) nic:8 "
     "pcie=63GB/s nvlink=450GB/s net=50GB/s net_latency=2us"},
    {"dgx-h200",
     "package:2 numa:1(memory=1024GiB) l3:1(size=105MiB) core:56 pu:2 pci_switch:4 gpu:8(memory=140GiB) nic:8 "
     "pcie=63GB/s nvlink=450GB/s net=50GB/s net_latency=2us"},
    {"dgx-b200",
     "package:2 numa:1(memory=1024GiB) l3:1(size=300MiB) core:56 pu:2 pci_switch:4 gpu:8(memory=180GiB) nic:8 "
     "pcie=63GB/s nvlink=900GB/s net=50GB/s net_latency=2us"},
    {"mi300x",
     "package:2 numa:1(memory=1024GiB) core:56 pu:2 pci_switch:8 gpu:8(memory=192GiB) nic:8 "
     "pcie=63GB/s xgmi=64GB/s net=50GB/s net_latency=2us"},
}};

}  // namespace

std::span<const Preset> presets() { return kPresets; }

std::string known_hosts() {
  std::string names;
  for (const Preset& preset : kPresets) names += (names.empty() ? "" : ", ") + std::string(preset.name);
  return names;
}

const Preset* find_preset(std::string_view name) {
  const auto found = std::ranges::find(kPresets, name, &Preset::name);
  return found == kPresets.end() ? nullptr : &*found;
}

}  // namespace tutti
