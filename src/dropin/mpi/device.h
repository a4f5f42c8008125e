// Buffers in the memory of a device, where neither this library's hands nor MPI's own functions may reach.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "mpi/abi.h"
#include "runtime/runner.h"

namespace tutti::mpi {

// Managed memory, too.
[[nodiscard]] bool on_device(const void* memory);
// memcpy, of which either side may be on a device.
Status copy_bytes(void* to, const void* from, std::size_t bytes);

// Memory as the host may use it: itself, or a copy where it is on a device.
class OnHost {
 public:
  OnHost(const void* memory, std::size_t bytes) : memory_(static_cast<std::byte*>(const_cast<void*>(memory))) {
    if (on_device(memory)) copy_.resize(bytes);
  }
  [[nodiscard]] std::byte* data() noexcept { return copy_.empty() ? memory_ : copy_.data(); }
  Status fetch() { return copy_.empty() ? Status{} : copy_bytes(copy_.data(), memory_, copy_.size()); }
  Status put() { return copy_.empty() ? Status{} : copy_bytes(memory_, copy_.data(), copy_.size()); }

 private:
  std::byte* memory_;
  std::vector<std::byte> copy_;
};

// Memory of our own, of the host or of a device.
class Place {
 public:
  Place() = default;
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { free(); }
  // Of the kind that `like` is, which may be null; nullptr when there is none left.
  [[nodiscard]] std::byte* reserve(std::uint64_t bytes, const void* like) {
    return on_device(like) ? reserve_on_device(bytes, like) : host_.reserve(bytes);
  }

 private:
  std::byte* reserve_on_device(std::uint64_t bytes, const void* like);
  void free();
  Scratch host_;
  std::byte* device_ = nullptr;
  std::uint64_t device_size_ = 0;
};

// Whether the MPI library, which is to take this call, would touch memory that it cannot: says so, and gives an error its way.
[[nodiscard]] bool beyond_mpi(const void* buffer);
int decline(std::string_view name, Handle comm);

}  // namespace tutti::mpi
