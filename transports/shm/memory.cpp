#include "tutti/memory.h"

#include "transports/shm/segments.h"

namespace tutti {

Result<Memory> allocate(std::size_t bytes) {
  auto data = shm::Segments::of_process().allocate(bytes);
  if (!data) return std::move(data.error());
  return Memory(*data, bytes);
}

bool deallocate(void* memory) noexcept { return memory != nullptr && shm::Segments::of_process().free(memory); }

}  // namespace tutti
