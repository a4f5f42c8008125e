#include "gpu/station.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tutti::gpu {

Result<std::shared_ptr<Station>> Station::make(const Setup& setup) {
  const Driver& driver = *setup.lanes.driver;
  const Entered entered(driver, setup.lanes.context);
  const Uncaptured uncaptured(driver);
  std::shared_ptr<Station> made(new Station(setup));
  auto lanes = Lanes::make(setup.lanes, made->load());
  if (!lanes) return std::move(lanes.error());
  made->lanes_ = std::move(*lanes);
  constexpr std::array<std::byte, 4> kZero{};
  auto counter = made->lanes_->put(kZero);
  if (!counter) return std::move(counter.error());
  made->counter_ = *counter;
  return made;
}

Station::~Station() {
  const Entered entered(driver(), context());
  const Uncaptured uncaptured(driver());
  if (module_ != nullptr) (void)driver().unload_module(module_);
}

Status Station::load() {
  if (setup_.image.empty())
    return Error(Code::unsupported,
                 "this library was built without device code: build it where nvcc is, ./dev deps installs one");
  if (auto s = check(driver(), driver().load_module(&module_, setup_.image.data()), "loading the kernels (cuModuleLoadData)"); !s)
    return s;
  const std::pair<KernelHandle*, const char*> wanted[] = {{&kernels_.fold, "tutti_fold"},
                                                          {&kernels_.one_pass, "tutti_one_pass"},
                                                          {&kernels_.prepare, "tutti_prepare"},
                                                          {&kernels_.finish, "tutti_finish"},
                                                          {&kernels_.interpret, "tutti_interpret"}};
  for (const auto& [kernel, name] : wanted)
    if (auto s = check(driver(), driver().kernel(kernel, module_, name), fmt::format("kernel {} (cuModuleGetFunction)", name));
        !s)
      return s;
  int device = 0, processors = 1;
  if (auto s = check(driver(), driver().context_device(&device), "cuCtxGetDevice"); !s) return s;
  if (auto s = check(driver(), driver().device_attribute(&processors, DeviceAttribute::multiprocessors, device),
                     "cuDeviceGetAttribute");
      !s)
    return s;
  processors_ = static_cast<unsigned>(std::max(1, processors));
  return {};
}

Status Station::reserve(std::uint64_t bytes) {
  constexpr std::uint64_t kLeast = std::uint64_t{2} << 20;
  if (bytes == 0 || (!scratch_.empty() && scratch_.back()->bytes() >= bytes)) return {};
  auto memory = DeviceMemory::make(driver(), context(), (bytes + kLeast - 1) / kLeast * kLeast);
  if (!memory) return memory.because("scratch");
  scratch_.push_back(std::move(*memory));
  return {};
}

std::uint64_t Station::memory_bytes() const noexcept {
  std::uint64_t sum = lanes_->memory_bytes();
  for (const auto& s : scratch_) sum += s->bytes();
  return sum;
}

}  // namespace tutti::gpu
