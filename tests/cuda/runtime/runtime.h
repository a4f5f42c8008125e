// A stand-in for the CUDA runtime (libcudart.so.13) over a driver, for tests: the functions that PyTorch calls. Kernels are not
// run: they lie in binaries for GPUs, and a launch does nothing and succeeds.
#pragma once

#include "standin/api.h"

namespace tutti::runtime {

// The runtime's numbers of errors are the driver's.
// Notes an error for cudaGetLastError, and passes it on.
CUresult noted(CUresult error);
// Makes the context of this thread's device its current one.
CUresult enter();

inline CUdeviceptr address(const void* pointer) { return reinterpret_cast<CUdeviceptr>(pointer); }

// Calls a function of the driver in this thread's context.
template <class... Parameters, class... Arguments>
CUresult in_context(CUresult (*function)(Parameters...), Arguments... arguments) {
  const CUresult error = enter();
  return noted(error != kSuccess ? error : function(arguments...));
}

}  // namespace tutti::runtime
