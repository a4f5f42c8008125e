#include "runtime/adoption.h"

#include <unistd.h>

#include <algorithm>

namespace tutti {
namespace {

constexpr std::uint64_t kShareOfMemory = 4;

// A page costs this once, with what peers need to map it (on a Zen 5: 3.5 us, and up to half as much again); afterwards its bytes
// move once where they moved twice. By the time a buffer has come so often that it would have paid, it is adopted: whatever comes
// then, it has cost at most twice as much as if all had been known.
constexpr double kPageCost_us = 5, kSaved = 0.5;
std::uint32_t uses_that_pay(double bandwidth_gbps) {
  const double page_us = static_cast<double>(shm::kPage) / (std::max(bandwidth_gbps, 0.1) * 1e3);
  return static_cast<std::uint32_t>(std::clamp(kPageCost_us / (page_us * kSaved), 16.0, 256.0));
}

std::uint64_t memory_of_host() {
  return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

Adoption::Adoption(const Config& config, double bandwidth_gbps) : enabled_(config.text(Var::adopt) != "off") {
  limits_.uses = config.text(Var::adopt) == "eager" ? 1 : uses_that_pay(bandwidth_gbps);
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
