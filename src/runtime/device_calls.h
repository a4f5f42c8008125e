// Calls that a communicator's devices do themselves (exec/gpu): where the ranks' devices map each other's memory, and for what
// there are kernels. As operations of streams, or by one kernel where each rank has a device of its own, whichever is faster.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gpu/shown_memory.h"
#include "gpu/staged.h"
#include "gpu/stream_executor.h"
#include "runtime/device_ways.h"
#include "runtime/letters.h"
#include "runtime/runner.h"

namespace tutti {

// Used by one thread at a time, but for what says so.
class DeviceCalls {
 public:
  // With all ranks of the communicator. Code::unsupported, on all of them, where they must do without, and why.
  static Result<std::unique_ptr<DeviceCalls>> make(const gpu::Driver& driver, gpu::ContextHandle context, Runner& runner);

  // Of a rank without a driver: the others hear that they must do without.
  static Status stay_away(Runner& runner);

  // Ready to be put into streams.
  struct Ready {
    std::shared_ptr<const gpu::Prepared> prepared;      // or
    std::shared_ptr<const gpu::PreparedKernel> kernel;  // for one pair of buffers
    std::string algorithm;
    std::string way = "streams";        // or "kernel LL128"
    std::vector<gpu::Extents> extents;  // of each pair of buffers
    bool one_pass = false;
    bool apart = false;  // input and output must not overlap
  };
  // Whether the devices can do the call; the same on all ranks.
  [[nodiscard]] static bool serves(const Request& request) { return DeviceWays::refusal(request).empty(); }
  // How they would do it, and why.
  Result<DeviceExplanation> explain(const Request& request) {
    return ways_.explain(request, runner_.question(request), no_more_kernels(request));
  }
  using ReadyPtr = std::shared_ptr<const Ready>;
  // Known from a call of the same shape before, or nullptr.
  [[nodiscard]] ReadyPtr find(const Request& request) const;
  [[nodiscard]] ReadyPtr find(std::span<const gpu::Message> group) const;
  // These may wait for the other ranks where no call of the same shape was made before.
  Result<ReadyPtr> prepare(const Request& request);
  Result<ReadyPtr> prepare(std::span<const gpu::Message> group);
  // Waits for kOnePassRank where that has not seen a buffer before, and for the stream where a buffer is ordinary memory.
  Status enqueue(const Ready& ready, std::span<const gpu::DeviceBuffers> buffers, const gpu::Factor& factor,
                 gpu::StreamHandle stream);
  // Whether enqueue may wait for another rank, or for the stream.
  [[nodiscard]] bool may_wait(const Ready& ready, std::span<const gpu::DeviceBuffers> buffers) const;
  // What other ranks ask of this one about memory. One other thread may do that, which touches nothing else here: answer often,
  // and give_back where no call is under way.
  [[nodiscard]] bool is_asked() const noexcept { return seen_ != nullptr; }
  Status answer() { return seen_->answer(); }
  void give_back() { seen_->give_back(); }
  // The stream waits until the other ranks' devices write into this one's memory no more.
  Status settle(gpu::StreamHandle stream) { return executor_->station()->lanes().settle(stream); }
  // From any thread.
  Status abort() {
    if (kernels_) kernels_->abort();
    return executor_->abort();
  }
  [[nodiscard]] bool has_kernels() const noexcept { return kernels_ != nullptr; }
  // Behind abort: the rank that a kernel waited for, or kNoRank. From any thread.
  [[nodiscard]] Rank waited_for() const noexcept { return kernels_ ? kernels_->waited_for() : kNoRank; }
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept { return executor_->memory_bytes() + staged_.memory_bytes(); }
  [[nodiscard]] const JobMachine& machine() const noexcept { return ways_.machine(); }

 private:
  // What all ranks know of a call; and with it whether it is in place, which is a rank's own affair.
  using Shape = std::tuple<Collective, std::uint64_t, DataType, ReduceKind, Rank, std::string, std::string, bool>;
  using OwnShape = std::pair<Shape, bool>;
  [[nodiscard]] static Shape shape_of(const Request& request);

  // Why no kernel is made for a further shape of calls; empty where one may be.
  [[nodiscard]] std::string_view no_more_kernels(const Request& request) const;
  Result<Ready> prepare(const Request& request, const DeviceWay& way);

  DeviceCalls(const gpu::Driver& driver, gpu::ContextHandle context, Runner& runner, DeviceLayout layout)
      : driver_(driver),
        runner_(runner),
        watch_(*runner.job().session().overlay),
        letters_(runner.job(), runner.policy(), watch_),
        asked_(runner.job(), runner.policy(), watch_, Letters::Kind::memory),
        ways_(runner.job().settled(), std::move(layout)),
        staged_(driver, context) {}

  Status meet_kernels();
  void meet_in_one_pass(gpu::ContextHandle context);
  [[nodiscard]] gpu::Extents extents_of(const Request& request) const;
  [[nodiscard]] static std::vector<gpu::Extents> extents_of(std::span<const gpu::Message> group);
  Result<gpu::Address> seen(const Ready& ready, gpu::Address buffer);

  const gpu::Driver& driver_;
  Runner& runner_;
  OverlayWatch watch_;
  Letters letters_;
  Letters asked_;  // about memory: of the thread that answers, where there is one
  DeviceWays ways_;
  gpu::Staged staged_;
  std::set<Shape> with_kernels_;
  std::unique_ptr<gpu::StreamExecutor> executor_;
  std::unique_ptr<gpu::KernelExecutor> kernels_;
  std::unique_ptr<gpu::ShownMemory> shown_;
  std::unique_ptr<gpu::SeenMemory> seen_;
  std::map<OwnShape, ReadyPtr> collectives_;
  std::map<std::vector<gpu::Message>, ReadyPtr> groups_;
};

}  // namespace tutti
