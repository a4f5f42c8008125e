#include <algorithm>

#include "runtime/communicator_impl.h"
#include "runtime/enqueue.h"
#include "runtime/together.h"

namespace tutti {

Status Group::add(Communicator& communicator, const Call& call) {
  if (communicator.impl_ == nullptr) return Error(Code::invalid_argument, "a call on an empty communicator was added to a group");
  if (auto request = communicator.impl_->check(call); !request) return std::move(request.error());
  entries_.push_back({&communicator, call});
  return {};
}

Status Group::add(Communicator& communicator, const Call& call, CudaStream stream) {
  if (gpu::driver() == nullptr) return gpu::why_no_driver().clone().because("a call in the order of a CUDA stream");
  if (auto s = add(communicator, call); !s) return s;
  entries_.back().has_stream = true;
  entries_.back().stream = stream;
  return {};
}

Status Group::run() {
  const std::vector<Entry> entries = std::exchange(entries_, {});
  std::size_t with_stream = 0;
  for (const Entry& entry : entries) {
    if (entry.communicator->impl_ == nullptr)
      return Error(Code::invalid_argument, "a communicator was moved away between Group::add and Group::run");
    with_stream += entry.has_stream ? 1 : 0;
  }
  if (with_stream > 0 && with_stream < entries.size())
    return Error(Code::invalid_argument, "some calls of a group were added with a stream and some without");
  if (with_stream > 0) return enqueue(entries);
  if (std::ranges::any_of(entries, [](const Entry& entry) { return on_device(entry.call); })) return run_on_devices(entries);
  std::vector<RunnerCall> calls;
  for (const Entry& entry : entries) {
    if (auto s = entry.communicator->impl_->wait_until_idle(); !s) return s;
    calls.push_back({entry.communicator->impl_->runner.get(), entry.call});
  }
  return run_together(calls);
}

Status Group::enqueue(const std::vector<Entry>& entries) {
  const gpu::Driver& driver = *gpu::driver();
  std::vector<StreamCall> calls;
  for (const Entry& entry : entries) {
    Communicator::Impl& impl = *entry.communicator->impl_;
    auto context = gpu::context_of(driver, entry.stream);
    if (!context) return std::move(context.error());
    const gpu::Entered entered(driver, *context);
    impl.async.wait_until_idle();
    auto order = impl.follow_streams(driver);
    if (!order) return std::move(order.error());
    auto request = impl.check(entry.call);
    if (!request) return std::move(request.error());
    calls.push_back({*order, entry.call, std::move(*request), entry.stream, !entry.has_stream});
  }
  return tutti::enqueue(driver, calls);
}

// Each communicator's in a stream of its own. Other ranks' buffers need not be on devices, and nobody knows.
Status Group::run_on_devices(std::vector<Entry> entries) {
  const gpu::Driver& driver = *gpu::driver();
  for (Entry& entry : entries) {
    const Call& call = entry.call;
    auto context = gpu::context_of_memory(driver, gpu::on_device(driver, call.input) ? call.input : call.output);
    if (!context) return std::move(context.error());
    const gpu::Entered entered(driver, *context);
    auto order = entry.communicator->impl_->follow_streams(driver);
    if (!order) return std::move(order.error());
    auto stream = (*order)->own_stream();
    if (!stream) return std::move(stream.error());
    entry.stream = *stream;
  }
  if (auto s = enqueue(entries); !s) return s;
  for (const Entry& entry : entries) {
    if (auto s = gpu::check(driver, driver.synchronize(entry.stream), "waiting for the device"); !s) return s;
    if (auto s = entry.communicator->failure(); !s) return s;
  }
  return {};
}

}  // namespace tutti
