// What a rank has on its device for calls of every kind: lanes to the other ranks, kernels and scratch.
#pragma once

#include "gpu/lanes.h"

namespace tutti::gpu {

struct DeviceBuffers {
  Address input = 0, output = 0;
};

// premul_sum: this rank's factor; where `on_device` is given, one number of the call's type there, read when the call runs.
struct Factor {
  double value = 1;
  Address on_device = 0;
};

struct Kernels {
  KernelHandle fold = nullptr, one_pass = nullptr, prepare = nullptr, finish = nullptr, interpret = nullptr;
};

// Used by one thread at a time.
class Station {
 public:
  struct Setup {
    Lanes::Setup lanes;
    std::span<const unsigned char> image;  // of the kernels, device/image.h
  };
  // Meets all other ranks; Code::unsupported on all of them if on any.
  static Result<std::shared_ptr<Station>> make(const Setup& setup);
  Station(const Station&) = delete;
  Station& operator=(const Station&) = delete;
  ~Station();  // when all calls have ended

  [[nodiscard]] const Driver& driver() const noexcept { return *setup_.lanes.driver; }
  [[nodiscard]] ContextHandle context() const noexcept { return setup_.lanes.context; }
  [[nodiscard]] Rank rank() const noexcept { return setup_.lanes.rank; }
  [[nodiscard]] Rank ranks() const noexcept { return setup_.lanes.ranks; }
  [[nodiscard]] Lanes& lanes() noexcept { return *lanes_; }
  [[nodiscard]] const Kernels& kernels() const noexcept { return kernels_; }
  [[nodiscard]] unsigned processors() const noexcept { return processors_; }

  // A word that is 0 before and behind every kernel of calls in one pass.
  [[nodiscard]] Address counter() const noexcept { return counter_; }

  // Scratch of all calls, which come one after the other. It moves when more is needed.
  Status reserve(std::uint64_t bytes);
  [[nodiscard]] Address scratch() const noexcept { return scratch_.empty() ? 0 : scratch_.back()->at(); }

  // Of the device, that this rank has taken.
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept;

 private:
  explicit Station(const Setup& setup) : setup_(setup) {}
  Status load();

  Setup setup_;
  ModuleHandle module_ = nullptr;
  Kernels kernels_;
  unsigned processors_ = 1;
  Address counter_ = 0;
  std::unique_ptr<Lanes> lanes_;
  std::vector<std::shared_ptr<const DeviceMemory>> scratch_;  // the last one is for new calls; graphs may use those before
};

}  // namespace tutti::gpu
