#include <dlfcn.h>
#include <fmt/format.h>

#include "topology/sources/nvml.h"

namespace tutti {
namespace {

constexpr const char* kLibrary = "libnvidia-ml.so.1";

template <class Function>
bool find(void* library, const char* symbol, Function& out) {
  out = reinterpret_cast<Function>(dlsym(library, symbol));
  return out != nullptr;
}

}  // namespace

// The library stays loaded: a driver is not made to be unloaded.
Result<NvmlTable> load_nvml() {
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = dlerror();
    return Error(Code::environment, fmt::format("{} cannot be loaded ({})", kLibrary, why != nullptr ? why : "no reason given"));
  }
  NvmlTable table;
  const bool complete = find(library, "nvmlInit_v2", table.init) && find(library, "nvmlShutdown", table.shutdown) &&
                        find(library, "nvmlDeviceGetCount_v2", table.count) &&
                        find(library, "nvmlDeviceGetHandleByIndex_v2", table.device) &&
                        find(library, "nvmlDeviceGetPciInfo_v3", table.pci) && find(library, "nvmlDeviceGetName", table.name) &&
                        find(library, "nvmlDeviceGetMemoryInfo", table.memory) &&
                        find(library, "nvmlDeviceGetCudaComputeCapability", table.capability) &&
                        find(library, "nvmlDeviceGetNvLinkState", table.link_state) &&
                        find(library, "nvmlDeviceGetNvLinkRemotePciInfo_v2", table.link_remote);
  if (!complete) return Error(Code::environment, fmt::format("{} lacks functions of drivers since 2018", kLibrary));
  find(library, "nvmlDeviceGetNvLinkRemoteDeviceType", table.link_remote_kind);
  return table;
}

}  // namespace tutti
