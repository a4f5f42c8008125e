// The kernels as GPUs run them.
#include "device/cuda_machine.h"
#include "device/fold.h"
#include "device/interpret.h"

namespace tutti::device {
namespace {

__device__ Threads threads() {
  return {std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x, std::uint64_t{gridDim.x} * blockDim.x};
}

}  // namespace

extern "C" {

__global__ void __launch_bounds__(256, 4) tutti_fold(const __grid_constant__ FoldArguments a) { fold<CudaMachine>(a, threads()); }
__global__ void __launch_bounds__(256, 4) tutti_one_pass(const __grid_constant__ OnePassArguments a) {
  __shared__ bool all_there;  // one answer for the block: flags may be changing, where ranks give up
  if (threadIdx.x == 0) all_there = all_are_there<CudaMachine>(a);
  __syncthreads();
  if (!all_there) return;
  one_pass<CudaMachine>(a, threads());
  __syncthreads();
  if (threadIdx.x != 0) return;
  __threadfence();
  if (atomicAdd(a.blocks, 1) + 1 != gridDim.x) return;
  __threadfence_system();
  *a.blocks = 0;
  tell_all<CudaMachine>(a);
}
__global__ void tutti_prepare(const __grid_constant__ PrepareArguments a) { prepare<CudaMachine>(a, threads()); }
__global__ void tutti_finish(const __grid_constant__ FinishArguments a) { finish<CudaMachine>(a, threads()); }

__global__ void __launch_bounds__(512) tutti_interpret(const __grid_constant__ InterpretArguments a) {
  extern __shared__ std::uint64_t shared[];
  CudaMachine block({threadIdx.x, blockDim.x}, blockIdx.x, gridDim.x, reinterpret_cast<std::byte*>(shared));
  Interpreter<CudaMachine>(a, block).run();
}

}  // extern "C"
}  // namespace tutti::device
