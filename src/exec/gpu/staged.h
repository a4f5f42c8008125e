// Memory of the device in place of buffers that a call cannot be done on: ordinary memory, which no kernel sees, and what another
// process cannot be shown.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "gpu/lanes.h"
#include "gpu/station.h"

namespace tutti::gpu {

// Of a call's buffers: bytes that it reads, and that it writes.
struct Extents {
  std::uint64_t input = 0, output = 0;
};

// Calls come one after the other in the order of streams. Used by one thread at a time.
class Staged {
 public:
  Staged(const Driver& driver, ContextHandle context) : driver_(driver), context_(context) {}

  // Room for copies of so many bytes.
  Status reserve(std::uint64_t bytes);

  // What the call is to be done on: the buffers themselves, or copies where `needs` says so of one of them. `apart`: so, too,
  // where input and output overlap.
  Result<std::vector<DeviceBuffers>> enter(std::span<const DeviceBuffers> buffers, std::span<const Extents> extents,
                                           const std::function<bool(Address)>& needs, bool apart, StreamHandle stream);
  // Behind the call: results go where they belong.
  Status leave(StreamHandle stream);
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept;

 private:
  // `bytes` of the user's, in staged memory.
  struct Copy {
    Address users = 0;
    std::uint64_t staged = 0, bytes = 0;
  };
  Address take(Address users, std::uint64_t bytes);

  const Driver& driver_;
  ContextHandle context_;
  std::vector<std::shared_ptr<const DeviceMemory>> memory_;  // the last one is for new calls; graphs may use those before
  std::uint64_t used_ = 0;
  std::vector<Copy> in_, out_;
};

}  // namespace tutti::gpu
