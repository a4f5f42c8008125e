// What can be done with the GPUs of this host. Sources: CUDA Compatibility ("Minor Version Compatibility"); CUDA Driver API
// Reference, cuIpcOpenMemHandle; NVIDIA Multi-Process Service.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "doctor/checks.h"

namespace tutti::doctor {
namespace {

constexpr const char* kSource = "libcuda.so.1";

bool shows_gpus(const System& s) {
  return std::ranges::any_of(s.topology.nodes, [](const Node& n) { return n.kind == NodeKind::gpu; });
}

// "2 x NVIDIA H200, 139.8 GiB".
std::string list(const std::vector<Gpu>& devices) {
  std::map<std::string, int> kinds;
  for (const Gpu& g : devices)
    ++kinds[fmt::format("{}, {:.1f} GiB", g.name, static_cast<double>(g.memory_bytes) / static_cast<double>(1 << 30))];
  std::string text;
  for (const auto& [kind, times] : kinds)
    text += (text.empty() ? "" : "; ") + (times > 1 ? fmt::format("{} x ", times) : "") + kind;
  return text;
}

Findings none(const char* check) { return {{Severity::ok, check, "no GPU to ask", kSource, "", ""}}; }

std::string mended_by(const std::string& error) { return fmt::format("the driver says: {}", error); }

}  // namespace

Findings check_gpus(const System& s) {
  const Gpus& g = s.gpus;
  if (g.none.empty())
    return {{Severity::ok, "gpus",
             fmt::format("{} GPU{} ({}), driver of CUDA {}.{}", g.devices.size(), g.devices.size() == 1 ? "" : "s",
                         list(g.devices), g.driver_version / 1000, g.driver_version % 1000 / 10),
             kSource, "", ""}};
  const bool there = shows_gpus(s);
  return {
      {there ? Severity::warning : Severity::note, "gpus", "no GPU can be used: " + g.none, kSource,
       there ? "there are GPUs, but buffers can be in host memory only" : "buffers can be in host memory only",
       "NVIDIA's driver of CUDA 12 or newer; in a container its libraries and devices must be there, too (docker --gpus all)"}};
}

Findings check_gpu_code(const System& s) {
  const Gpus& g = s.gpus;
  const char* source = "cuModuleLoadData of the code in libtutti";
  if (g.has_code && g.none.empty() && !g.no_code.empty())
    return {{Severity::warning, "gpu-code", "the driver does not take this library's code for GPUs: " + g.no_code, source,
             "collectives of GPU buffers are done by the host, at its speed",
             fmt::format("a newer driver (this one is of CUDA {}.{}), or build tutti with an nvcc of that version",
                         g.driver_version / 1000, g.driver_version % 1000 / 10)}};
  if (g.has_code)
    return {{Severity::ok, "gpu-code", g.none.empty() ? "device 0 takes this library's code" : "this library has code for GPUs",
             source, "", ""}};
  return {{g.none.empty() ? Severity::warning : Severity::ok, "gpu-code", "this library was built without code for GPUs", source,
           "collectives of GPU buffers are done by the host, at its speed", "./dev deps installs nvcc; then build again"}};
}

Findings check_gpu_streams(const System& s) {
  const Gpus& g = s.gpus;
  if (!g.none.empty()) return none("gpu-streams");
  const char* source = "cuStreamWriteValue32, cuStreamWaitValue32";
  if (g.no_stream.empty()) return {{Severity::ok, "gpu-streams", "streams wait for values in memory", source, "", ""}};
  return {{Severity::problem, "gpu-streams", "streams cannot wait for values in memory", source,
           "calls on GPU buffers and in streams fail",
           mended_by(g.no_stream) + "; a newer driver, or a GPU that is not shared by hypervisors"}};
}

Findings check_gpu_memory(const System& s) {
  const Gpus& g = s.gpus;
  if (!g.none.empty()) return none("gpu-memory");
  const char* source = "cuIpcOpenMemHandle in a second process";
  if (g.no_ipc.empty())
    return {{Severity::ok, "gpu-memory", "processes can map each other's memory of device 0", source, "", ""}};
  return {{Severity::warning, "gpu-memory", "processes cannot map each other's memory of device 0", source,
           "messages between processes go through the host's memory, at its speed",
           mended_by(g.no_ipc) + "; containers of one job need one IPC and PID namespace (docker --ipc=host --pid=host), GPUs "
                                 "the compute mode Default"}};
}

Findings check_gpu_sharing(const System& s) {
  const Gpus& g = s.gpus;
  if (!g.none.empty()) return none("gpu-sharing");
  const int gpus = static_cast<int>(g.devices.size());
  const char* source = "devices of the driver, ranks of this host, $CUDA_MPS_PIPE_DIRECTORY/control";
  if (s.ranks_here <= gpus)
    return {
        {Severity::ok, "gpu-sharing",
         fmt::format("{} rank{} of this host, {} GPU{}", s.ranks_here, s.ranks_here == 1 ? "" : "s", gpus, gpus == 1 ? "" : "s"),
         source, "", ""}};
  const std::string shared = fmt::format("{} ranks of this host share {} GPU{}", s.ranks_here, gpus, gpus == 1 ? "" : "s");
  if (g.mps) return {{Severity::ok, "gpu-sharing", shared + ", with NVIDIA's Multi-Process Service (MPS)", source, "", ""}};
  return {{Severity::note, "gpu-sharing", shared + " without NVIDIA's Multi-Process Service (MPS)", source,
           "the GPU takes their kernels and copies in turns, not side by side", "nvidia-cuda-mps-control -d before the job"}};
}

}  // namespace tutti::doctor
