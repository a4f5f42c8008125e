#include "runtime/adoption.h"

#include <unistd.h>

namespace tutti {
namespace {

constexpr std::uint32_t kUses = 64;
constexpr std::uint64_t kShareOfMemory = 4;

std::uint64_t memory_of_host() {
  return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

Adoption::Adoption(const Config& config) : enabled_(config.text(Var::adopt) != "off") {
  limits_.uses = config.text(Var::adopt) == "eager" ? 1 : kUses;
  limits_.bytes = config.is_set(Var::adopt_bytes) ? static_cast<std::uint64_t>(config.integer(Var::adopt_bytes))
                                                  : memory_of_host() / kShareOfMemory;
}

Adoption::Hold::Hold(const Call& call, const Footprint& footprint, const shm::AdoptionLimits& limits) {
  shm::Adopted& adopted = shm::Adopted::of_process();
  const auto bytes = [](const void* data, std::uint64_t size) { return ConstBytes{static_cast<const std::byte*>(data), size}; };
  output_ = adopted.enter(bytes(call.output, footprint.output_bytes), limits);
  input_ = adopted.enter(bytes(call.input, footprint.input_bytes), limits);
}

void Adoption::Hold::let_go() noexcept {
  shm::Adopted& adopted = shm::Adopted::of_process();
  adopted.leave(input_);
  adopted.leave(output_);
}

}  // namespace tutti
