// Calls as operations of a CUDA stream: copies, small kernels, and waits for and writes of words of memory (program.h says
// which). Nothing spins on the device, any number of ranks may share one, and all of it can be captured into a graph.
//
//   auto executor = StreamExecutor::make({...});           meets all other ranks; Code::unsupported on all of them if on any
//   auto call = (*executor)->prepare(what all know, my schedule);         may wait for peers that prepare the same
//   (*executor)->enqueue(**call, {{input, output}}, {}, stream);          never waits, allocates nothing
//
// All ranks enqueue the same calls in the same order; messages need only be in order for each pair of ranks. Whether a call is
// captured must be the same on all its ranks. On several streams their order is the caller's affair (call_order.h).
#pragma once

#include <thread>

#include "gpu/backlog.h"
#include "gpu/program.h"
#include "gpu/station.h"

namespace tutti::gpu {

// A call made ready for any number of runs on whatever buffers.
class Prepared {
 public:
  [[nodiscard]] std::size_t operations() const noexcept;  // of one run
  [[nodiscard]] std::uint64_t scratch_bytes() const noexcept;

 private:
  friend class StreamExecutor;
  friend class Enqueuing;
  struct Lane {
    LaneEnd* end = nullptr;
    std::array<Address, 2> inbox = {};
  };
  // A program run on `pieces` parts of the buffers, which are `piece_bytes` apart.
  struct Stretch {
    Program program;
    std::vector<Lane> outgoing = {}, incoming = {};  // of the program's lanes
    std::uint64_t pieces = 1, first = 0, piece_bytes = 0;
  };
  std::vector<Stretch> stretches_;
};

// Used by one thread at a time, but for abort.
class StreamExecutor {
 public:
  using Setup = Station::Setup;
  static Result<std::unique_ptr<StreamExecutor>> make(const Setup& setup);
  StreamExecutor(const StreamExecutor&) = delete;
  StreamExecutor& operator=(const StreamExecutor&) = delete;
  // All that was enqueued has ended, and graphs do not run any more.
  ~StreamExecutor();

  // `mine` is this rank's schedule, in place or not. Code::unsupported where there is no kernel for the call; any other error has
  // happened here only, and the other ranks wait.
  Result<std::shared_ptr<const Prepared>> prepare(const CollectiveCall& call, const Schedule& mine);
  // By one rank for all of a device (one_pass.h says of which calls); enqueue must be told where that rank sees the buffers.
  Result<std::shared_ptr<const Prepared>> prepare_one_pass(const CollectiveCall& call);
  // Sends and receives that go on together: enqueue takes the buffers of each.
  Result<std::shared_ptr<const Prepared>> prepare(std::span<const Message> group);
  // After an error the lanes are in no known state: abort. `seen`: the buffers of a call in one pass, as kOnePassRank sees them.
  Status enqueue(const Prepared& call, std::span<const DeviceBuffers> buffers, const Factor& factor, StreamHandle stream,
                 const DeviceBuffers& seen = {});

  // From any thread: whatever waits on this rank's lanes, now or later, goes on with whatever is there, after a moment; nothing
  // is enqueued any more. What this rank sends then is garbage, so the results of calls that have not ended on all ranks are,
  // too. A call in one pass that all ranks had told of may still be written to their buffers by kOnePassRank.
  Status abort();
  // Of the device, that this rank has taken.
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept { return station_->memory_bytes(); }
  [[nodiscard]] const std::shared_ptr<Station>& station() const noexcept { return station_; }

 private:
  friend class Enqueuing;
  explicit StreamExecutor(std::shared_ptr<Station> station) : station_(std::move(station)) {}
  [[nodiscard]] const Driver& driver() const noexcept { return station_->driver(); }
  Result<std::shared_ptr<const Prepared>> open(std::vector<Prepared::Stretch> stretches);
  void free_waiters_until_gone();

  std::shared_ptr<Station> station_;
  Backlog backlog_;
  std::atomic<bool> aborted_{false}, gone_{false};
  std::thread freeing_;
};

}  // namespace tutti::gpu
