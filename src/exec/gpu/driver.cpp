#include "gpu/driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/config.h"
#include "core/shared_library.h"

namespace tutti::gpu {
namespace {

constexpr const char* kLibrary = "libcuda.so.1";

void find_all(Symbols& symbols, Driver& d) {
  symbols.find(d.init, "cuInit");
  symbols.find(d.version, "cuDriverGetVersion");
  symbols.find(d.error_name, "cuGetErrorName");
  symbols.find(d.error_string, "cuGetErrorString");
  symbols.find(d.device_count, "cuDeviceGetCount");
  symbols.find(d.device_attribute, "cuDeviceGetAttribute");
  symbols.find(d.device_name, "cuDeviceGetName");
  symbols.find(d.device_pci, "cuDeviceGetPCIBusId");
  symbols.find(d.device_uuid, "cuDeviceGetUuid_v2");
  symbols.find(d.device_memory, "cuDeviceTotalMem_v2");
  symbols.find(d.can_access_peer, "cuDeviceCanAccessPeer");
  symbols.find(d.retain_context, "cuDevicePrimaryCtxRetain");
  symbols.find(d.release_context, "cuDevicePrimaryCtxRelease_v2");
  symbols.find(d.current_context, "cuCtxGetCurrent");
  symbols.find(d.push_context, "cuCtxPushCurrent_v2");
  symbols.find(d.pop_context, "cuCtxPopCurrent_v2");
  symbols.find(d.context_device, "cuCtxGetDevice");
  symbols.find(d.enable_peer_access, "cuCtxEnablePeerAccess");
  symbols.find(d.pointer_attribute, "cuPointerGetAttribute");
  symbols.find(d.address_range, "cuMemGetAddressRange_v2");
  symbols.find(d.memory_left, "cuMemGetInfo_v2");
  symbols.find(d.allocate, "cuMemAlloc_v2");
  symbols.find(d.free, "cuMemFree_v2");
  symbols.find(d.allocate_host, "cuMemHostAlloc");
  symbols.find(d.free_host, "cuMemFreeHost");
  symbols.find(d.host_device_pointer, "cuMemHostGetDevicePointer_v2");
  symbols.find(d.ipc_handle, "cuIpcGetMemHandle");
  symbols.find(d.ipc_open, "cuIpcOpenMemHandle_v2");
  symbols.find(d.ipc_close, "cuIpcCloseMemHandle");
  symbols.find(d.copy, "cuMemcpyAsync");
  symbols.find(d.set_words, "cuMemsetD32Async");
  symbols.find(d.make_stream, "cuStreamCreate");
  symbols.find(d.destroy_stream, "cuStreamDestroy_v2");
  symbols.find(d.synchronize, "cuStreamSynchronize");
  symbols.find(d.query_stream, "cuStreamQuery");
  symbols.find(d.stream_context, "cuStreamGetCtx");
  symbols.find(d.wait_event, "cuStreamWaitEvent");
  symbols.find(d.wait_value, "cuStreamWaitValue32_v2");
  symbols.find(d.write_value, "cuStreamWriteValue32_v2");
  symbols.find(d.memory_operations, "cuStreamBatchMemOp_v2");
  symbols.find(d.call_host, "cuLaunchHostFunc");
  symbols.find(d.is_capturing, "cuStreamIsCapturing");
  symbols.find(d.exchange_capture_mode, "cuThreadExchangeStreamCaptureMode");
  symbols.find(d.begin_capture, "cuStreamBeginCapture_v2");
  symbols.find(d.end_capture, "cuStreamEndCapture");
  symbols.find(d.destroy_graph, "cuGraphDestroy");
  symbols.find(d.instantiate, "cuGraphInstantiateWithFlags");
  symbols.find(d.launch_graph, "cuGraphLaunch");
  symbols.find(d.destroy_ready, "cuGraphExecDestroy");
  symbols.find(d.make_event, "cuEventCreate");
  symbols.find(d.destroy_event, "cuEventDestroy_v2");
  symbols.find(d.record, "cuEventRecord");
  symbols.find(d.synchronize_event, "cuEventSynchronize");
  symbols.find(d.query_event, "cuEventQuery");
  symbols.find(d.load_module, "cuModuleLoadData");
  symbols.find(d.unload_module, "cuModuleUnload");
  symbols.find(d.kernel, "cuModuleGetFunction");
  symbols.find(d.launch, "cuLaunchKernel");
}

Result<Driver> start() {
  if (environment("TUTTI_CUDA") == "off") return Error(Code::environment, "NVIDIA's driver is not used: TUTTI_CUDA is off");
  auto loaded = load_driver();
  if (!loaded) return loaded;
  if (const int result = loaded->init(0); result == kNoDevice)
    return Error(Code::environment, "the driver knows no device");
  else if (auto s = check(*loaded, result, "cuInit"); !s)
    return std::move(s.error());
  int devices = 0;
  if (auto s = check(*loaded, loaded->device_count(&devices), "cuDeviceGetCount"); !s) return std::move(s.error());
  if (devices == 0) return Error(Code::environment, "the driver knows no device");
  return loaded;
}

const Result<Driver>& started() {
  static const Result<Driver> result = start();
  return result;
}

}  // namespace

Result<Driver> load_driver() {
  auto library = open_library(kLibrary);
  if (!library) return std::move(library.error());
  Driver d;
  Symbols symbols(*library);
  find_all(symbols, d);
  if (symbols.missing() != nullptr)
    return Error(Code::environment,
                 fmt::format("{} has no function {}; a driver of CUDA 12 or newer is needed", kLibrary, symbols.missing()));
  return d;
}

const Driver* driver() {
  static const Driver* const found = started() ? &*started() : nullptr;
  return found;
}

const Error& why_no_driver() { return started().error(); }

Status submit(const Driver& d, StreamHandle stream, std::span<MemoryOperation> operations) {
  while (!operations.empty()) {
    const auto now = operations.first(std::min<std::size_t>(operations.size(), kMostMemoryOperations));
    if (auto s = check(d, d.memory_operations(stream, static_cast<unsigned>(now.size()), now.data(), 0), "cuStreamBatchMemOp");
        !s)
      return s;
    operations = operations.subspan(now.size());
  }
  return {};
}

Result<std::string> device_name(const Driver& d, int device) {
  std::array<char, 256> name{};
  if (auto s = check(d, d.device_name(name.data(), static_cast<int>(name.size()) - 1, device), "cuDeviceGetName"); !s)
    return std::move(s.error());
  return std::string(name.data());
}

Status check(const Driver& d, int result, std::string_view what) {
  if (result == 0) return {};
  const char *name = nullptr, *text = nullptr;
  (void)d.error_name(result, &name);
  (void)d.error_string(result, &text);
  return Error(result == kOutOfMemory ? Code::resource : Code::environment,
               fmt::format("{}: {} ({})", what, text != nullptr ? text : "unknown error", name != nullptr ? name : "no name"));
}

}  // namespace tutti::gpu
