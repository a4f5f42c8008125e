// Calls as one launch of the interpreter kernel (device/interpret.h), which writes into the other ranks' memory and waits there
// for what they write into its own. It spins, so no two ranks may share a device. Blocks take the pieces of a call in turns, and
// block b of a rank meets block b of the others in mailboxes of its own.
//
//   auto executor = KernelExecutor::make(streams->station());             with all other ranks
//   auto call = (*executor)->prepare(what all know, my schedule, Protocol::ll, 4);    may wait for peers that prepare the same
//   (*executor)->enqueue(**call, {input, output}, {}, stream);            one launch; never waits, allocates nothing
//
// All ranks enqueue the same calls in the same order.
#pragma once

#include <atomic>

#include "gpu/ops.h"
#include "gpu/station.h"

namespace tutti::gpu {

// How a call is spread over blocks; the same on all ranks.
struct KernelLayout {
  Cut cut;
  unsigned blocks = 1;
  std::uint64_t half_bytes = 0;  // of every mailbox
};
// At most so many blocks, and pieces of which every rank's mailboxes and scratch are small enough. Code::unsupported where the
// kernel cannot do the call.
[[nodiscard]] Result<KernelLayout> kernel_layout(const CollectiveCall& call, device::Protocol protocol, unsigned channels);

class PreparedKernel {
 public:
  [[nodiscard]] unsigned blocks() const noexcept { return blocks_; }

 private:
  friend class KernelExecutor;
  device::InterpretArguments arguments_;
  unsigned blocks_ = 1, threads_ = 32, shared_bytes_ = 0;
  bool idle_ = false;  // there is nothing to do
};

// Used by one thread at a time, but for abort and waited_for.
class KernelExecutor {
 public:
  // Code::unsupported on all ranks if on any.
  static Result<std::unique_ptr<KernelExecutor>> make(std::shared_ptr<Station> station);
  KernelExecutor(const KernelExecutor&) = delete;
  KernelExecutor& operator=(const KernelExecutor&) = delete;
  // All that was enqueued has ended, and graphs do not run any more.
  ~KernelExecutor() = default;

  // `mine` is this rank's schedule, in place or not. Code::unsupported on all ranks where the kernel cannot do the call; any
  // other error has happened here only, and the other ranks wait. What it takes of the device is given back with the station.
  Result<std::shared_ptr<const PreparedKernel>> prepare(const CollectiveCall& call, const Schedule& mine,
                                                        device::Protocol protocol, unsigned channels);
  Status enqueue(const PreparedKernel& call, const DeviceBuffers& buffers, const Factor& factor, StreamHandle stream);

  // Both from any thread. Kernels that wait, now or later, end with whatever is there; nothing is enqueued any more.
  void abort() noexcept;
  // The rank that a kernel waited for when it was made to end, or kNoRank.
  [[nodiscard]] Rank waited_for() const noexcept;

 private:
  KernelExecutor(std::shared_ptr<Station> station, PinnedMemory control);
  [[nodiscard]] const Driver& driver() const noexcept { return station_->driver(); }
  [[nodiscard]] device::Control& control() const noexcept { return *reinterpret_cast<device::Control*>(control_.data()); }
  Result<std::vector<device::Lane>> open(const KernelCall& call, const KernelLayout& layout);
  Result<Address> upload(const KernelCall& call, const std::vector<device::Lane>& lanes, device::InterpretArguments& arguments);

  std::shared_ptr<Station> station_;
  PinnedMemory control_;
  std::atomic<bool> aborted_{false};
};

}  // namespace tutti::gpu
