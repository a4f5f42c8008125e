#include "runtime/adoption.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "core/log.h"
#include "topology/sources/cgroup.h"

namespace tutti {
namespace {

constexpr std::uint64_t kShareOfMemory = 4;
// Ranks adopt at the same time, and of what each adopts 4 MB are there twice, besides what the kernel needs for its tables.
constexpr std::uint64_t kSparedPerRank = std::uint64_t{8} << 20;

std::uint64_t left_to_control_group() {
  const CgroupLimits limits = read_cgroup_limits();
  return limits.memory_bytes == 0 ? UINT64_MAX : limits.memory_left_bytes;
}

std::uint64_t memory_of_host() {
  return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

struct Gain {
  std::uint64_t from = LinkTuning::kNever;  // messages of so many bytes and more gain
  double page_us = 0;                       // with each page of large ones
  [[nodiscard]] bool any() const noexcept { return from != LinkTuning::kNever && page_us > 0; }
};

// Between those ranks that gain most. Where that has not been measured, a page's bytes are copied once less.
Gain gain_on(const JobMachine& machine) {
  constexpr LinkTuning kUsual;
  if (machine.tuning.empty() || machine.core_origin != Origin::system)
    return {kUsual.mapped_from, static_cast<double>(shm::kPage) / (machine.copy_gbps * 1e3)};
  Gain gain;
  for (const LinkTuning& t : machine.tuning) {
    gain.from = std::min<std::uint64_t>({gain.from, t.mapped_from, t.placed_from});
    gain.page_us = std::max(gain.page_us, t.mapped_saves_us);
  }
  return gain;
}

// By the time a buffer has come so often that it would have paid, it is adopted: whatever comes then, it has cost at most twice
// as much as if all had been known.
std::uint32_t uses_that_pay(double cost_us, double gain_us) {
  constexpr double kLeast = 16, kMost = 4096;
  return static_cast<std::uint32_t>(std::clamp(std::ceil(cost_us / std::max(gain_us, 1e-6)), kLeast, kMost));
}

}  // namespace

Adoption::Adoption(const Config& config, const JobMachine& machine) {
  const std::string& when = config.text(Var::adopt);
  const Gain gain = gain_on(machine);
  const std::string worth =
      gain.any() ? fmt::format("messages of {} and more gain {:.2g} us with each page", format_bytes(gain.from), gain.page_us)
                 : "nothing would be gained between these cores";
  if (when == "off" || !gain.any()) {
    terms_ = fmt::format("no buffer is adopted (TUTTI_ADOPT={}); {}", when, worth);
    return;
  }
  auto cost = shm::Adopted::of_process().page_cost_us();
  if (!cost) {
    terms_ = "no buffer can be adopted: " + cost.error().to_string();
    log(LogLevel::info, terms_);
    return;
  }
  use_ = shm::Adopted::of_process().use();
  messages_from_ = gain.from;
  limits_.uses = when == "eager" ? 1 : uses_that_pay(*cost, gain.page_us);
  limits_.bytes = config.is_set(Var::adopt_bytes) ? static_cast<std::uint64_t>(config.integer(Var::adopt_bytes))
                                                  : memory_of_host() / kShareOfMemory;
  limits_.memory_left = left_to_control_group;
  limits_.memory_spared = kSparedPerRank * static_cast<std::uint64_t>(machine.ranks_per_host);
  terms_ =
      fmt::format("a buffer is adopted (TUTTI_ADOPT={}) {}: a page costs {:.2g} us once; {}", when,
                  when == "eager" ? "at its first use" : fmt::format("when it has come {} times", limits_.uses), *cost, worth);
}

std::string Adoption::describe() const {
  if (messages_from_ == UINT64_MAX) return terms_;
  return fmt::format("{}\nuntil now: {}", terms_, to_string(adoption_report()));
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
