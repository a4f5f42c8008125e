#include "tutti/memory.h"

#include <fmt/format.h>

#include "core/config.h"
#include "transports/shm/adopted.h"
#include "transports/shm/segments.h"

namespace tutti {

Result<Memory> allocate(std::size_t bytes) {
  auto data = shm::Segments::of_process().allocate(bytes);
  if (!data) return std::move(data.error());
  return Memory(*data, bytes);
}

bool deallocate(void* memory) noexcept { return memory != nullptr && shm::Segments::of_process().free(memory); }

AdoptionReport adoption_report() { return shm::Adopted::of_process().report(); }

std::string to_string(const AdoptionReport& r) {
  std::string text = fmt::format("{} adopted ({} pages), {} in use now, {} given back, {} freed by the program", r.adopted,
                                 r.pages, format_bytes(r.bytes_now), r.given_back, r.lost);
  for (const auto& [reason, ranges] : r.refused) text += fmt::format("; {} refused: {}", ranges, reason);
  return text;
}

}  // namespace tutti
