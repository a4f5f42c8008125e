// Calls that a communicator's devices do themselves, as operations of streams (exec/gpu): where the ranks' devices map each
// other's memory, and for what there are kernels.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gpu/stream_executor.h"
#include "runtime/letters.h"
#include "runtime/request.h"
#include "runtime/runner.h"
#include "select/choice_table.h"

namespace tutti {

// Used by one thread at a time, but for abort().
class DeviceCalls {
 public:
  // With all ranks of the communicator. Code::unsupported, on all of them, where they must do without, and why.
  static Result<std::unique_ptr<DeviceCalls>> make(const gpu::Driver& driver, gpu::ContextHandle context, Runner& runner);

  // Of a rank without a driver: the others hear that they must do without.
  static Status stay_away(Runner& runner);

  // Ready to be put into streams.
  struct Ready {
    std::shared_ptr<const gpu::Prepared> prepared;
    std::string algorithm;
  };
  // Whether the devices can do the call; the same on all ranks.
  [[nodiscard]] static bool serves(const Request& request);
  // Known from a call of the same shape before, or nullptr.
  [[nodiscard]] const Ready* find(const Request& request) const;
  [[nodiscard]] const Ready* find(std::span<const gpu::Message> group) const;
  // These wait for the other ranks where no call of the same shape was made before.
  Result<const Ready*> prepare(const Request& request);
  Result<const Ready*> prepare(std::span<const gpu::Message> group);
  Status enqueue(const Ready& ready, std::span<const gpu::DeviceBuffers> buffers, const gpu::Factor& factor,
                 gpu::StreamHandle stream) {
    return executor_->enqueue(*ready.prepared, buffers, factor, stream);
  }
  // The stream waits until the other ranks' devices write into this one's memory no more.
  Status settle(gpu::StreamHandle stream) { return executor_->settle(stream); }
  Status abort() { return executor_->abort(); }
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept { return executor_->memory_bytes(); }
  [[nodiscard]] const JobMachine& machine() const noexcept { return machine_; }

 private:
  using Shape = std::tuple<Collective, std::uint64_t, DataType, ReduceKind, Rank, bool, std::string, std::string>;
  [[nodiscard]] static Shape shape_of(const Request& request);

  DeviceCalls(Runner& runner, JobMachine machine)
      : runner_(runner),
        machine_(std::move(machine)),
        watch_(*runner.job().session().overlay),
        letters_(runner.job(), runner.policy(), watch_) {}

  Runner& runner_;
  JobMachine machine_;
  OverlayWatch watch_;
  Letters letters_;
  ChoiceTable choices_;
  std::unique_ptr<gpu::StreamExecutor> executor_;
  std::map<Shape, Ready> collectives_;
  std::map<std::vector<gpu::Message>, Ready> groups_;
};

}  // namespace tutti
