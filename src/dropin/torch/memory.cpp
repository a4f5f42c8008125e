#include "memory.h"

#include <c10/core/CPUAllocator.h>

#include <mutex>

#include "tutti/memory.h"

namespace tutti_torch {
namespace {

void give_back(void* memory) { tutti::deallocate(memory); }

class Shared final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    auto memory = tutti::allocate(bytes);
    TORCH_CHECK_WITH(OutOfMemoryError, memory, "tutti: ", bytes, " bytes: ", memory.error().to_string());
    void* data = memory->release();
    return {data, data, &give_back, at::kCPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }
};

c10::Allocator& shared() {
  static auto& allocator = *new Shared;  // tensors may outlive all else
  return allocator;
}

}  // namespace

at::Tensor empty(at::IntArrayRef sizes, at::ScalarType type) {
  for (const std::int64_t size : sizes) TORCH_CHECK_VALUE(size >= 0, "tutti_torch.empty: a size is ", size);
  const std::size_t bytes = static_cast<std::size_t>(c10::multiply_integers(sizes)) * c10::elementSize(type);
  c10::Storage storage(c10::Storage::use_byte_size_t(), bytes, shared().allocate(bytes), &shared(), /*resizable=*/true);
  return at::empty({0}, at::TensorOptions(type)).set_(storage, 0, sizes);
}

bool share_all(bool share) {
  static std::mutex mutex;
  static c10::Allocator* before = nullptr;  // PyTorch's own, while tensors are shared
  const std::lock_guard lock(mutex);
  const bool shared_before = before != nullptr;
  if (share == shared_before) return shared_before;
  constexpr std::uint8_t kPriority = 0;
  if (share) {
    before = c10::GetCPUAllocator();
    c10::SetCPUAllocator(&shared(), kPriority);
  } else {
    c10::SetCPUAllocator(std::exchange(before, nullptr), kPriority);
  }
  return shared_before;
}

}  // namespace tutti_torch
