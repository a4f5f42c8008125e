// Calls in streams that the host does: pieces of them that are done side by side, in pinned memory.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <vector>

#include "gpu/memory.h"
#include "runtime/host_pieces.h"
#include "runtime/together.h"

namespace tutti {

class StreamOrder;

// A call in the order of a stream.
struct StreamCall {
  StreamOrder* order;
  Call call;
  Request request;  // of the call
  gpu::StreamHandle stream;
  // Other ranks may make the call on ordinary memory, as a whole: no devices, and no pieces.
  bool beside_hosts = false;
};

// Of staging memory, in turn, so that one can be filled while another is in use.
inline constexpr std::size_t kStagingSlots = 2;

struct HostRound {
  StreamOrder* asked_of = nullptr;  // whose thread does it
  bool repeats = false;             // part of a graph
  struct Part {
    StreamOrder* order;
    Runner* runner;
    std::unique_ptr<OwnedCall> call;
    std::unique_ptr<std::array<std::byte, 8>> scalar;  // premul_sum: a copy of what its operator refers to
  };
  std::vector<Part> parts = {};
  struct Copy {
    std::byte* to;
    const std::byte* from;
    std::uint64_t bytes;
  };
  std::vector<Copy> before = {}, after = {};  // of memory that the driver does not know

  Status run();
};

// Makes the rounds of a set of calls, one after the other.
class HostRounds {
 public:
  // The calls must outlive it.
  void add(const gpu::Driver& driver, const StreamCall& call);
  [[nodiscard]] bool done() const;

  struct Next {
    HostRound round = {};
    std::vector<HostRound::Copy> before = {}, after = {};  // that the stream does
  };
  // Messages side by side; of a communicator's collectives, which keep their order, as many as fit. In staging memory of a slot.
  Result<Next> next(std::size_t slot);

 private:
  struct Left {
    const StreamCall* call;
    std::uint64_t pieces, next;
    bool host_in, host_out, host_scalar;  // its memory is of a kind that the driver does not know
  };
  // A piece, and where in its communicator's staging memory it lies.
  struct Placed {
    const Left* of;
    HostPiece piece;
    std::uint64_t at;
    std::uint64_t scalar_at;  // where its operator's factor is copied to
  };
  void place(Left& left);
  void place_all();
  static void add(const Placed& placed, std::byte* all_staging, Next& next);

  std::vector<Left> left_;
  std::vector<Placed> placed_;                  // in the next round
  std::map<StreamOrder*, std::uint64_t> used_;  // bytes of staging memory in it
};

}  // namespace tutti
