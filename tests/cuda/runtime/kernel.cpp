// Kernels: known by name, never run. And what is answered without doing anything (CMakeLists.txt lists the names).
#include <cstring>

#include "runtime.h"

using namespace tutti::runtime;

namespace {

struct FunctionAttributes {
  size_t shared_bytes, constant_bytes, local_bytes;
  int threads_per_block, registers, ptx_version, binary_version, rest[26];
};

static_assert(sizeof(FunctionAttributes) == 144);

}  // namespace

extern "C" {

CUresult cudart_does_nothing() { return kSuccess; }
CUresult cudart_not_supported() { return noted(kNotSupported); }

void** __cudaRegisterFatBinary(void*) {
  static void* binary = nullptr;
  return &binary;
}
CUresult __cudaGetKernel(const void** kernel, const void* function) {
  *kernel = function;
  return kSuccess;
}
// Programs launch what was pushed before; the grid and the block do not matter to a launch that does nothing.
CUresult __cudaPopCallConfiguration(void* grid, void* block, size_t* shared_bytes, void** stream) {
  std::memset(grid, 0, 12);
  std::memset(block, 0, 12);
  *shared_bytes = 0;
  *stream = nullptr;
  return kSuccess;
}

CUresult cudaFuncGetAttributes(FunctionAttributes* attributes, const void*) {
  *attributes = {};
  attributes->threads_per_block = 1024;
  attributes->ptx_version = attributes->binary_version = 90;
  return kSuccess;
}
CUresult cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int, size_t) {
  *blocks = 1;
  return kSuccess;
}
CUresult cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int, size_t, unsigned) {
  *blocks = 1;
  return kSuccess;
}

}  // extern "C"
