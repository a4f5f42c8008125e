// The driver's version, its functions by name, and the names of its errors.
#include <dlfcn.h>

#include <array>
#include <string>

#include "context.h"

using namespace standin;

namespace {

struct Named {
  CUresult code;
  const char* name;
  const char* text;
};
// Also some that only STANDIN_FAIL makes.
constexpr std::array kNames{
    Named{kSuccess, "CUDA_SUCCESS", "no error"},
    Named{kInvalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    Named{kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    Named{kNotInitialized, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    Named{kNoDevice, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    Named{kInvalidDevice, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    Named{kInvalidImage, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    Named{kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    Named{kMapFailed, "CUDA_ERROR_MAP_FAILED", "mapping of buffer object failed"},
    Named{kNoBinaryForGpu, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    Named{kFileNotFound, "CUDA_ERROR_FILE_NOT_FOUND", "file not found"},
    Named{kOperatingSystem, "CUDA_ERROR_OPERATING_SYSTEM", "OS call failed or operation not supported on this OS"},
    Named{kInvalidHandle, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    Named{kIllegalState, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"},
    Named{kNotFound, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    Named{kNotReady, "CUDA_ERROR_NOT_READY", "device not ready"},
    Named{kIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    Named{kLaunchTimeout, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
    Named{kPeerAccessAlreadyEnabled, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", "peer access is already enabled"},
    Named{kContextIsDestroyed, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    Named{kHostMemoryAlreadyRegistered, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED",
          "part or all of the requested memory range is already mapped"},
    Named{kHostMemoryNotRegistered, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED",
          "pointer does not correspond to a registered memory region"},
    Named{kNotPermitted, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted"},
    Named{static_cast<CUresult>(46), "CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable"},
    Named{static_cast<CUresult>(217), "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED",
          "peer access is not supported between these two devices"},
    Named{static_cast<CUresult>(222), "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the PTX was compiled with an unsupported toolchain"},
    Named{static_cast<CUresult>(719), "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    Named{static_cast<CUresult>(802), "CUDA_ERROR_SYSTEM_NOT_READY", "system not yet initialized"},
    Named{static_cast<CUresult>(803), "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
          "system has unsupported display driver / cuda driver combination"},
    Named{static_cast<CUresult>(804), "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
          "forward compatibility was attempted on non supported HW"},
    Named{static_cast<CUresult>(999), "CUDA_ERROR_UNKNOWN", "unknown error"},
    Named{kNotSupported, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    Named{kCaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    Named{kCaptureInvalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
          "operation failed due to a previous error during capture"},
    Named{kCaptureMerge, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would result in a merge of separate capture sequences"},
    Named{kCaptureUnmatched, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
    Named{kCaptureUnjoined, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    Named{kCaptureIsolation, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    Named{kCaptureImplicit, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
          "operation would make the legacy stream depend on a capturing blocking stream"},
    Named{kCapturedEvent, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    Named{kCaptureWrongThread, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
          "attempt to terminate a thread-local capture sequence from another thread"},
};

const Named* named(CUresult error) {
  for (const Named& known : kNames)
    if (known.code == error) return &known;
  return nullptr;
}

void* this_library() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&cuInit), &info) == 0) return nullptr;
  return dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
}

}  // namespace

CUresult cuDriverGetVersion(int* version) {
  return always([&] {
    if (!version) return kInvalidValue;
    read_settings();
    *version = settings().version;
    return kSuccess;
  });
}

// The newest form of a function, as programs built with CUDA 13 want it.
CUresult cuGetProcAddress_v2(const char* symbol, void** function, int, std::uint64_t flags,
                             CUdriverProcAddressQueryResult* status) {
  return always([&] {
    if (!symbol || !function) return kInvalidValue;
    *function = nullptr;
    static void* const library = this_library();
    if (flags != kProcPerThreadDefaultStream)
      for (const char* form : {"_v3", "_v2", ""})
        if (!*function) *function = dlsym(library, (std::string(symbol) + form).c_str());
    if (status) *status = *function ? kSymbolFound : kSymbolNotFound;
    return *function || status ? kSuccess : kNotFound;
  });
}

CUresult cuGetErrorString(CUresult error, const char** text) {
  return always([&] {
    if (!text) return kInvalidValue;
    const Named* known = named(error);
    *text = known ? known->text : nullptr;
    return known ? kSuccess : kInvalidValue;
  });
}

CUresult cuGetErrorName(CUresult error, const char** text) {
  return always([&] {
    if (!text) return kInvalidValue;
    const Named* known = named(error);
    *text = known ? known->name : nullptr;
    return known ? kSuccess : kInvalidValue;
  });
}
