// What is behind a Communicator.
#pragma once

#include <unistd.h>

#include "runtime/async.h"
#include "runtime/runner.h"
#include "runtime/stream_order.h"
#include "tutti/communicator.h"

namespace tutti {

struct Communicator::Impl {
  explicit Impl(std::unique_ptr<Runner> r) : runner(std::move(r)), async(*runner) {}
  std::unique_ptr<Runner> runner;
  AsyncQueue async;
  std::unique_ptr<StreamOrder> streams;              // from the first call that needs it on
  std::atomic<StreamOrder*> streams_made = nullptr;  // the same, for other threads
  pid_t owner = getpid();

  // What follows streams of the current context.
  Result<StreamOrder*> follow_streams(const gpu::Driver& driver);
  Result<DeviceExplanation> explain_on_devices(const Request& request, const SelectRequest& asked) const;
  // Nobody else uses the runner from now on.
  Status wait_until_idle();

  static Result<Communicator> make(Result<Session> session, const Config& config, const Options& options,
                                   const Job* parent = nullptr);
  [[nodiscard]] Result<Request> check(const Call& call) const {
    return check_call(call, runner->job().rank(), runner->job().size(), runner->contract());
  }
};

// Whether the host must not touch one of its buffers.
[[nodiscard]] inline bool on_device(const Call& call) {
  const gpu::Driver* driver = gpu::driver();
  return driver != nullptr && (gpu::on_device(*driver, call.input) || gpu::on_device(*driver, call.output));
}

}  // namespace tutti
