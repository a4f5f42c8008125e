#include "mpi/device.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstring>

#include "core/log.h"
#include "gpu/memory.h"
#include "mpi/pmpi.h"

namespace tutti::mpi {
namespace {

// Of Open MPI and MPICH: "CUDA-aware".
bool mpi_takes_device_memory() {
  static const bool takes = [] {
    auto* query = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "MPIX_Query_cuda_support"));
    return query != nullptr && query() != 0;
  }();
  return takes;
}

}  // namespace

bool on_device(const void* memory) {
  const gpu::Driver* driver = gpu::driver();
  return driver != nullptr && gpu::on_device(*driver, memory);
}

Status copy_bytes(void* to, const void* from, std::size_t bytes) {
  const bool device_to = on_device(to);
  if (!device_to && !on_device(from)) {
    std::memcpy(to, from, bytes);
    return {};
  }
  const gpu::Driver& d = *gpu::driver();
  auto context = gpu::context_of_memory(d, device_to ? to : from);
  if (!context) return std::move(context.error());
  const gpu::Entered entered(d, *context);
  if (auto s = gpu::check(d, d.copy(gpu::address(to), gpu::address(from), bytes, nullptr), "cuMemcpyAsync"); !s) return s;
  return gpu::check(d, d.synchronize(nullptr), "cuStreamSynchronize");
}

std::byte* Place::reserve_on_device(std::uint64_t bytes, const void* like) {
  if (bytes <= device_size_) return device_;
  free();
  const gpu::Driver& d = *gpu::driver();
  auto context = gpu::context_of_memory(d, like);
  if (!context) return nullptr;
  const gpu::Entered entered(d, *context);
  gpu::Address memory = 0;
  if (d.allocate(&memory, bytes) != 0) return nullptr;
  device_ = reinterpret_cast<std::byte*>(memory);  // NOLINT(performance-no-int-to-ptr)
  device_size_ = bytes;
  return device_;
}

void Place::free() {
  if (device_ == nullptr) return;
  const gpu::Driver& d = *gpu::driver();
  if (auto context = gpu::context_of_memory(d, device_)) {
    const gpu::Entered entered(d, *context);
    (void)d.free(gpu::address(device_));
  }
  device_ = nullptr;
  device_size_ = 0;
}

bool beyond_mpi(const void* buffer) {
  const gpu::Driver* driver = gpu::driver();
  if (driver == nullptr) return false;
  const gpu::Location found = gpu::locate(*driver, buffer);
  return found.kind == MemoryKind::cuda_device && !found.managed && !mpi_takes_device_memory();
}

int decline(std::string_view name, Handle comm) {
  log(LogLevel::error,
      fmt::format("MPI_{}: a buffer is in the memory of a GPU, tutti does not serve this call, and the MPI library cannot reach "
                  "such memory; copy it to the host's memory first",
                  name));
  pmpi::comm_call_errhandler(comm, abi().err_other);
  return abi().err_other;
}

}  // namespace tutti::mpi
