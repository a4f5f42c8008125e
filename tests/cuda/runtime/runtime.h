// A stand-in for the CUDA runtime (libcudart.so.13) over a driver, for tests: the functions that PyTorch calls. Kernels are not run:
// they lie in binaries for GPUs, and a launch does nothing and succeeds. The driver below is a stand-in, too (tests/cuda/standin), or
// NVIDIA's.
#pragma once

#include "driver.h"

namespace tutti::runtime {

constexpr int kInvalidValue = 1, kNotReady = 600, kNotSupported = 801;

// Notes an error for cudaGetLastError, and passes it on.
int noted(int error);
// Makes the context of this thread's device its current one.
int enter();

inline DevicePointer address(const void* pointer) { return reinterpret_cast<DevicePointer>(pointer); }

// Calls a function of the driver in this thread's context.
template <class... Parameters, class... Arguments>
int in_context(int (*function)(Parameters...), Arguments... arguments) {
  const int error = enter();
  return noted(error != 0 ? error : function(arguments...));
}

}  // namespace tutti::runtime
