#include "nccl/memory.h"

#include "gpu/memory.h"
#include "nccl/comm.h"
#include "nccl/errors.h"
#include "tutti/memory.h"

namespace tutti::nccl {
namespace {

ncclResult_t one_sided(std::string_view name, ncclComm_t comm) {
  if (!find_comm(name, comm)) return ncclInvalidArgument;
  return invalid_argument(
      "{}: there is no one-sided communication without a GPU (ncclCommQueryProperties: hostRmaSupport is false)", name);
}

// In the current context, as the runtime's cudaMalloc.
ncclResult_t device_alloc(const gpu::Driver& driver, void** memory, size_t size) {
  auto context = gpu::context_of_this_thread(driver);
  if (!context) return report(context.because("ncclMemAlloc"));
  const gpu::Entered entered(driver, *context);
  const gpu::Uncaptured uncaptured(driver);
  gpu::Address made = 0;
  auto s = gpu::check(driver, driver.allocate(&made, size), fmt::format("ncclMemAlloc of {} bytes", size));
  if (!s) return report(ncclUnhandledCudaError, s.error().to_string());
  *memory = reinterpret_cast<void*>(made);  // NOLINT(performance-no-int-to-ptr)
  return ncclSuccess;
}

// In whatever context it was made.
bool device_free(const gpu::Driver& driver, void* memory) {
  auto context = gpu::context_of_memory(driver, memory);
  if (!context) return false;
  const gpu::Entered entered(driver, *context);
  return driver.free(gpu::address(memory)) == 0;
}

}  // namespace

ncclResult_t mem_alloc(void** memory, size_t size) {
  if (memory == nullptr) return invalid_argument("ncclMemAlloc: ptr is NULL");
  *memory = nullptr;
  if (size == 0) return ncclSuccess;
  if (const gpu::Driver* driver = gpu::driver()) return device_alloc(*driver, memory, size);
  auto made = allocate(size);
  if (!made) return report(made.because("ncclMemAlloc"));
  *memory = made->release();
  return ncclSuccess;
}

ncclResult_t mem_free(void* memory) {
  if (memory == nullptr || deallocate(memory)) return ncclSuccess;
  if (const gpu::Driver* driver = gpu::driver(); driver != nullptr && device_free(*driver, memory)) return ncclSuccess;
  return invalid_argument("ncclMemFree: {} is no memory of ncclMemAlloc, or was freed before", memory);
}

// Any memory will do as it is; NCCL gives no handle either where it does not register.
ncclResult_t comm_register(ncclComm_t comm, void* memory, size_t size, void** handle) {
  if (!find_comm("ncclCommRegister", comm)) return ncclInvalidArgument;
  if (handle == nullptr) return invalid_argument("ncclCommRegister: handle is NULL");
  *handle = nullptr;
  if (memory == nullptr || size == 0) return invalid_argument("ncclCommRegister: {} bytes at {}", size, memory);
  return ncclSuccess;
}

ncclResult_t comm_deregister(ncclComm_t comm, void* handle) {
  if (!find_comm("ncclCommDeregister", comm)) return ncclInvalidArgument;
  return handle == nullptr ? ncclSuccess : invalid_argument("ncclCommDeregister: {} is no handle of ncclCommRegister", handle);
}

ncclResult_t comm_window_register(ncclComm_t comm, void* memory, size_t size, ncclWindow_t* window, int) {
  if (!find_comm("ncclCommWindowRegister", comm)) return ncclInvalidArgument;
  if (window == nullptr) return invalid_argument("ncclCommWindowRegister: win is NULL");
  *window = nullptr;
  if (memory == nullptr || size == 0) return invalid_argument("ncclCommWindowRegister: {} bytes at {}", size, memory);
  return ncclSuccess;
}

ncclResult_t comm_window_deregister(ncclComm_t comm, ncclWindow_t window) {
  if (!find_comm("ncclCommWindowDeregister", comm)) return ncclInvalidArgument;
  if (window == nullptr) return ncclSuccess;
  return invalid_argument("ncclCommWindowDeregister: {} is no window", static_cast<void*>(window));
}

ncclResult_t win_get_user_ptr(ncclComm_t comm, ncclWindow_t, void** memory) {
  if (!find_comm("ncclWinGetUserPtr", comm)) return ncclInvalidArgument;
  if (memory == nullptr) return invalid_argument("ncclWinGetUserPtr: outUserPtr is NULL");
  *memory = nullptr;
  return ncclSuccess;
}

ncclResult_t put_signal(const void*, size_t, ncclDataType_t, int, ncclWindow_t, size_t, int, int, unsigned, ncclComm_t comm,
                        cudaStream_t) {
  return one_sided("ncclPutSignal", comm);
}
ncclResult_t signal(int, int, int, unsigned, ncclComm_t comm, cudaStream_t) { return one_sided("ncclSignal", comm); }
ncclResult_t wait_signal(int, ncclWaitSignalDesc_t*, ncclComm_t comm, cudaStream_t) { return one_sided("ncclWaitSignal", comm); }

}  // namespace tutti::nccl
