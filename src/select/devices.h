// What calls cost on devices that map each other's memory: made of operations of CUDA streams, or done by one kernel.
#pragma once

#include <span>

#include "select/select.h"

namespace tutti {

// The same ranks as seen from their devices: one link between any two, and where ranks share a device, its share of it.
// `devices`: by rank, equal where they are the same; in their order of the PCI bus, say.
[[nodiscard]] JobMachine on_devices(const JobMachine& job, std::span<const std::string> devices, const Topology& topology);

// How a kernel's messages lie (exec/gpu/device/op.h).
enum class KernelProtocol : std::uint8_t { simple, ll, ll128 };
inline constexpr int kKernelProtocols = 3;

// A kernel that waits for other ranks may keep that of a rank on the same device from running.
[[nodiscard]] bool may_spin(std::span<const std::string> devices);
// Those that may be used between these devices: ll128 only where stores of whole lines arrive at once, over NVLink.
[[nodiscard]] std::vector<KernelProtocol> protocols_between(std::span<const std::string> devices, const Topology& topology);
// How many blocks work on a call of so many bytes.
[[nodiscard]] unsigned channels_for(KernelProtocol protocol, std::uint64_t bytes);
// As on_devices, and what a launch costs besides.
[[nodiscard]] JobMachine on_kernels(const JobMachine& job, std::span<const std::string> devices, const Topology& topology,
                                    KernelProtocol protocol, unsigned channels);
[[nodiscard]] double launch_us(KernelProtocol protocol);

}  // namespace tutti
