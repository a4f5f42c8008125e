// Where memory is, which context a call belongs to, and handles that are given back.
#pragma once

#include <utility>

#include "gpu/driver.h"
#include "tutti/types.h"

namespace tutti::gpu {

struct Location {
  MemoryKind kind = MemoryKind::host;
  int device = -1;       // of device memory
  bool managed = false;  // by the driver, and seen by the host, too
};

// Ordinary memory where the driver does not know it. The pointer may be null.
[[nodiscard]] Location locate(const Driver& driver, const void* memory);

[[nodiscard]] inline Address address(const void* memory) noexcept { return reinterpret_cast<Address>(memory); }

// Whether the host must not touch it, or only in a stream's order.
[[nodiscard]] inline bool on_device(const Driver& driver, const void* memory) {
  return locate(driver, memory).kind == MemoryKind::cuda_device;
}

// Makes a context current for this thread as long as it lives.
class Entered {
 public:
  Entered(const Driver& driver, ContextHandle context) : driver_(driver), entered_(driver.push_context(context) == 0) {}
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;
  ~Entered() {
    ContextHandle ignored = nullptr;
    if (entered_) (void)driver_.pop_context(&ignored);
  }

 private:
  const Driver& driver_;
  bool entered_;
};

// What this thread does now is no part of a capture that is under way somewhere (CUDA graphs): allocating memory would end it.
class Uncaptured {
 public:
  explicit Uncaptured(const Driver& driver) : driver_(driver) { (void)driver_.exchange_capture_mode(&mode_); }
  Uncaptured(const Uncaptured&) = delete;
  Uncaptured& operator=(const Uncaptured&) = delete;
  ~Uncaptured() { (void)driver_.exchange_capture_mode(&mode_); }

 private:
  const Driver& driver_;
  CaptureMode mode_ = CaptureMode::relaxed;
};

// The context that calls of this thread use: the current one, or else the primary one of device 0, which stays retained.
[[nodiscard]] Result<ContextHandle> context_of_this_thread(const Driver& driver);
// The one that a stream belongs to; for the streams that every thread has, the thread's.
[[nodiscard]] Result<ContextHandle> context_of(const Driver& driver, StreamHandle stream);
// The one that memory of a device belongs to; the thread's where it belongs to none.
[[nodiscard]] Result<ContextHandle> context_of_memory(const Driver& driver, const void* memory);
[[nodiscard]] Result<bool> is_capturing(const Driver& driver, StreamHandle stream);

class Event {
 public:
  static Result<Event> make(const Driver& driver);  // in the current context
  Event(Event&& other) noexcept : driver_(other.driver_), handle_(std::exchange(other.handle_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    std::swap(driver_, other.driver_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Event() {
    if (handle_ != nullptr) (void)driver_->destroy_event(handle_);
  }
  [[nodiscard]] EventHandle handle() const noexcept { return handle_; }

 private:
  Event(const Driver& driver, EventHandle handle) : driver_(&driver), handle_(handle) {}
  const Driver* driver_;
  EventHandle handle_;
};

// Host memory that devices see, too.
class PinnedMemory {
 public:
  static Result<PinnedMemory> make(const Driver& driver, std::size_t bytes);  // in the current context
  PinnedMemory(PinnedMemory&& other) noexcept
      : driver_(other.driver_), data_(std::exchange(other.data_, nullptr)), size_(other.size_), on_device_(other.on_device_) {}
  PinnedMemory& operator=(PinnedMemory&& other) noexcept {
    std::swap(driver_, other.driver_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(on_device_, other.on_device_);
    return *this;
  }
  ~PinnedMemory() {
    if (data_ != nullptr) (void)driver_->free_host(data_);
  }
  [[nodiscard]] std::byte* data() const noexcept { return static_cast<std::byte*>(data_); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] Address on_device() const noexcept { return on_device_; }

 private:
  PinnedMemory(const Driver& driver, void* data, std::size_t size, Address on_device)
      : driver_(&driver), data_(data), size_(size), on_device_(on_device) {}
  const Driver* driver_;
  void* data_;
  std::size_t size_;
  Address on_device_;
};

}  // namespace tutti::gpu
