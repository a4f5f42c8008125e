#include "work.h"

#include <ATen/Parallel.h>
#include <c10/util/StringUtil.h>

#include <algorithm>

#include "tensors.h"
#include "types.h"

namespace tutti_torch {
namespace {

c10::intrusive_ptr<c10::ivalue::Future> future_of(const Tensors& tensors) {
  std::vector<at::Device> devices;
  for (const at::Tensor& tensor : tensors)
    if (!tensor.is_cpu() && std::find(devices.begin(), devices.end(), tensor.device()) == devices.end())
      devices.push_back(tensor.device());
  return c10::make_intrusive<c10::ivalue::Future>(c10::ListType::create(c10::TensorType::get()), std::move(devices));
}

std::uint64_t next_key() {
  static std::atomic<std::uint64_t> key{0};
  return ++key;
}

}  // namespace

CallWork::CallWork(int rank, About about, std::shared_ptr<Observers> observers)
    : Work(rank, about.type, about.title, about.inputs.empty() ? about.outputs : about.inputs),
      about_(std::move(about)),
      observers_(std::move(observers)),
      key_(next_key()) {
  if (const auto stream = stream_of(about_.inputs, about_.outputs)) issued_.emplace(stream->device_type()).record(*stream);
}

void CallWork::wait_for_device() {
  if (issued_) issued_->synchronize();
}

void CallWork::done(tutti::Status status, int source) {
  c10::intrusive_ptr<c10::ivalue::Future> future;
  std::exception_ptr exception = status ? nullptr : exception_of(name_of(about_.title), status.error());
  {
    const std::lock_guard lock(mutex_);
    source_ = source;
    future = future_;
    // From now on getFuture() settles itself what it makes.
    exception_ = exception;
    completed_ = true;
  }
  if (status)
    observers_->completed(key_);
  else if (status.error().code() != tutti::Code::invalid_argument)
    observers_->fail();
  finish(exception);
  // Callbacks of a future may wait for other operations of the group, which the thread that has done this one is to do.
  if (!future) return;
  // What they hold may be Python's: it is let go of before others hear that they are over. PyTorch copies the function.
  struct Settling {
    std::shared_ptr<Observers> observers;
    Callbacks::Running running{observers->callbacks};
    c10::intrusive_ptr<CallWork> self;
    c10::intrusive_ptr<c10::ivalue::Future> future;
    std::exception_ptr exception;
  };
  auto settling =
      std::make_shared<std::unique_ptr<Settling>>(new Settling{.observers = observers_,
                                                               .self = c10::intrusive_ptr<CallWork>::reclaim_copy(this),
                                                               .future = future,
                                                               .exception = exception});
  at::launch([settling] {
    const Callbacks::Here here;
    const std::unique_ptr<Settling> all = std::move(*settling);
    all->self->settle(*all->future, all->exception);
  });
}

bool CallWork::wait(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  const bool own = timeout == kNoTimeout;
  const auto at_most = own ? about_.at_most : timeout;
  const auto completed = [this] { return completed_; };
  if (at_most != kNoTimeout && !cv_.wait_for(lock, at_most, completed)) {
    lock.unlock();
    if (!own || !about_.withdraw || about_.withdraw())
      fail(name_of(about_.title), tutti::Error(tutti::Code::timeout, c10::str("not done after ", at_most.count(), " ms")));
    lock.lock();  // it has just come
  }
  cv_.wait(lock, completed);
  if (exception_) std::rethrow_exception(exception_);
  return true;
}

bool CallWork::isSuccess() const {
  const std::lock_guard lock(mutex_);
  return completed_ && !exception_;
}

int CallWork::sourceRank() const {
  const std::lock_guard lock(mutex_);
  TORCH_CHECK(source_ >= 0, "tutti: only a message from any rank that has arrived says whom it is from");
  return source_;
}

c10::intrusive_ptr<c10::ivalue::Future> CallWork::getFuture() {
  std::unique_lock lock(mutex_);
  if (future_) return future_;
  auto future = future_ = future_of(about_.outputs);
  const bool done = completed_;
  const auto exception = exception_;
  lock.unlock();
  if (done) settle(*future, exception);
  return future;
}

void CallWork::settle(c10::ivalue::Future& future, const std::exception_ptr& exception) const {
  if (exception)
    future.setError(exception);
  else
    future.markCompleted(about_.outputs);
}

StreamWork::StreamWork(int rank, c10d::OpType type, const char* title, const c10::Stream& stream, Tensors inputs, Tensors outputs)
    : Work(rank, type, title, inputs.empty() ? outputs : inputs),
      inputs_(std::move(inputs)),
      outputs_(std::move(outputs)),
      done_(stream.device_type()),
      future_(future_of(outputs_)) {
  done_.record(stream);
  future_->markCompleted(outputs_);
  if (recordFunctionEndCallback_) recordFunctionEndCallback_();
}

void StreamWork::synchronize() {
  if (const auto stream = stream_of(inputs_, outputs_)) done_.block(*stream);
}

bool StreamWork::wait(std::chrono::milliseconds) {
  synchronize();
  return true;
}

AllOf::AllOf(int rank, std::vector<c10::intrusive_ptr<c10d::Work>> works)
    : Work(rank, c10d::OpType::COALESCED), works_(std::move(works)) {}

bool AllOf::isCompleted() {
  return std::all_of(works_.begin(), works_.end(), [](const auto& work) { return work->isCompleted(); });
}

bool AllOf::isSuccess() const {
  return std::all_of(works_.begin(), works_.end(), [](const auto& work) { return work->isSuccess(); });
}

bool AllOf::wait(std::chrono::milliseconds timeout) {
  return std::all_of(works_.begin(), works_.end(), [&](const auto& work) { return work->wait(timeout); });
}

std::vector<at::Tensor> AllOf::result() {
  std::vector<at::Tensor> all;
  for (const auto& work : works_)
    for (const at::Tensor& tensor : work->result()) all.push_back(tensor);
  return all;
}

c10::intrusive_ptr<c10::ivalue::Future> AllOf::getFuture() {
  auto all = future_of(result());
  c10::List<c10::intrusive_ptr<c10::ivalue::Future>> each(c10::FutureType::create(c10::ListType::create(c10::TensorType::get())));
  for (const auto& work : works_) each.push_back(work->getFuture());
  auto together = c10::collectAll(each);
  together->addCallback([all, tensors = result()](c10::ivalue::Future& done) {
    if (done.hasError()) return all->setError(done.exception_ptr());
    all->markCompleted(tensors);
  });
  return all;
}

}  // namespace tutti_torch
