// What is behind a Communicator.
#pragma once

#include <unistd.h>

#include "runtime/async.h"
#include "runtime/runner.h"
#include "tutti/communicator.h"

namespace tutti {

struct Communicator::Impl {
  explicit Impl(std::unique_ptr<Runner> r) : runner(std::move(r)), async(*runner) {}
  std::unique_ptr<Runner> runner;
  AsyncQueue async;
  pid_t owner = getpid();

  static Result<Communicator> make(Result<Session> session, const Config& config, const Options& options,
                                   const Job* parent = nullptr);
  [[nodiscard]] Result<Request> check(const Call& call) const {
    return check_call(call, runner->job().rank(), runner->job().size());
  }
};

}  // namespace tutti
