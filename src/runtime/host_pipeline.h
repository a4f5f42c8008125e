// Rounds of the host behind each other in a stream. While one is under way, the memory of the next one is filled and that of the
// one before emptied, by streams of the communicator beside the call's; those of a graph come one after the other.
#pragma once

#include <array>
#include <optional>

#include "runtime/stream_order.h"

namespace tutti {

class HostPipeline {
 public:
  // In the order of `stream`, which belongs to `order`'s context.
  HostPipeline(const gpu::Driver& driver, StreamOrder& order, gpu::StreamHandle stream)
      : driver_(driver), order_(order), stream_(stream) {}

  // All of them, each made when the memory of the one before the last has been emptied.
  Status run(HostRounds& rounds, bool repeats);

 private:
  struct Beside {
    gpu::StreamHandle fill, empty;
  };
  Result<Beside> beside(bool in_turn);
  Status run(HostRounds::Next next, std::size_t slot, const Beside& beside);
  Status join(gpu::StreamHandle from, gpu::StreamHandle to);
  Status copy(const std::vector<HostRound::Copy>& copies, gpu::StreamHandle stream);

  const gpu::Driver& driver_;
  StreamOrder& order_;
  gpu::StreamHandle stream_;
  std::array<std::optional<gpu::Event>, kStagingSlots> emptied_;
};

}  // namespace tutti
