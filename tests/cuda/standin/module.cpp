// Kernels: functions of the library that STANDIN_KERNELS names, built for the host from the same source as the device's.
//
//   extern "C" void NAME(const StandinLaunch*, void** arguments);
//   extern "C" const unsigned NAME_argument_bytes[];   // size of each argument, then 0
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "capture.h"
#include "launch.h"
#include "stream.h"

using namespace standin;

namespace {

struct Function {
  Context* context;
  void (*run)(const StandinLaunch*, void**);
  const unsigned* argument_bytes;
};
struct Module {
  Context* context;
  void* library;
  std::mutex mutex = {};
  std::map<std::string, std::unique_ptr<Function>> functions = {};
};

Handles<Module>& modules() {
  static auto* all = new Handles<Module>;
  return *all;
}
Handles<Function>& functions() {
  static auto* all = new Handles<Function>;
  return *all;
}

// Copies of arguments, each where every type may lie.
class Arguments {
 public:
  Arguments(const unsigned* bytes, void* const* values) {
    for (std::size_t i = 0; bytes[i] != 0; ++i) {
      auto& copy = copies_.emplace_back((bytes[i] + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t));
      std::memcpy(copy.data(), values[i], bytes[i]);
    }
  }
  std::vector<void*> pointers() {
    std::vector<void*> all;
    for (auto& copy : copies_) all.push_back(copy.data());
    return all;
  }

 private:
  std::vector<std::vector<std::max_align_t>> copies_;
};

bool valid(const StandinLaunch& launch) {
  constexpr unsigned long long kMostThreads = 1024;
  constexpr unsigned kMostSharedBytes = 227 << 10;
  const auto volume = [](const unsigned(&sides)[3]) { return 1ULL * sides[0] * sides[1] * sides[2]; };
  return volume(launch.grid) != 0 && volume(launch.block) != 0 && volume(launch.block) <= kMostThreads &&
         launch.shared_bytes <= kMostSharedBytes;
}

}  // namespace

// Loading may wait for all that runs, says CUDA's documentation, so here it does. Which kernels there are, the image does not
// say.
CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  return call_in_context([&](Context& context) {
    const char* path = std::getenv("STANDIN_KERNELS");
    if (!module || !image) return kInvalidValue;
    if (const CUresult error = refuse_in_capture()) return error;
    if (!path || !*path) return kNoBinaryForGpu;
    synchronize(context);
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      std::fprintf(stderr, "stand-in for libcuda: STANDIN_KERNELS: %s\n", dlerror());
      return kFileNotFound;
    }
    *module = modules().add(std::unique_ptr<Module>(new Module{&context, library}));
    return kSuccess;
  });
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule handle, const char* name) {
  return call_in_context([&](Context&) {
    const Module* module = modules().find(handle);
    if (!module) return kInvalidHandle;
    if (!function || !name || !*name) return kInvalidValue;
    void* run = dlsym(module->library, name);
    if (!run) return kNotFound;
    const void* bytes = dlsym(module->library, (std::string(name) + "_argument_bytes").c_str());
    if (!bytes) {
      std::fprintf(stderr, "stand-in for libcuda: kernel %s has no %s_argument_bytes\n", name, name);
      return kInvalidImage;
    }
    *function = functions().add(std::make_unique<Function>(Function{
        module->context, reinterpret_cast<void (*)(const StandinLaunch*, void**)>(run), static_cast<const unsigned*>(bytes)}));
    return kSuccess;
  });
}

// The library stays: launched kernels may still be on their way.
CUresult cuModuleUnload(CUmodule module) {
  return call_in_context([&](Context&) -> CUresult {
    if (const CUresult error = refuse_in_capture()) return error;
    return modules().remove(module) ? kSuccess : kInvalidHandle;
  });
}

CUresult cuLaunchKernel(CUfunction handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                        unsigned block_z, unsigned shared_bytes, CUstream on, void** arguments, void** extra) {
  return call_on_stream(on, [&](Stream& stream) {
    const Function* function = functions().find(handle);
    if (!function || function->context != &stream.context()) return kInvalidHandle;
    const StandinLaunch launch{{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes};
    if (!valid(launch) || extra || (!arguments && function->argument_bytes[0] != 0)) return kInvalidValue;
    auto copies = std::make_shared<Arguments>(function->argument_bytes, arguments);
    return submit(stream, {[=](Context&) {
                    function->run(&launch, copies->pointers().data());
                    return kSuccess;
                  }});
  });
}
