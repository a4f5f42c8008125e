#include "runtime/async.h"

#include <fmt/format.h>

#include "core/clock.h"
#include "core/thread.h"

namespace tutti {

void WorkState::finish(Status status) {
  const std::lock_guard lock(mutex);
  done = true;
  if (!status) error = std::move(status.error());
  changed.notify_all();
}

Status WorkState::outcome() const {
  if (error) return error->clone();
  return {};
}

Status Work::wait() {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [&] { return state_->done; });
  return state_->outcome();
}

Status Work::wait_for(double seconds) {
  std::unique_lock lock(state_->mutex);
  if (!state_->changed.wait_for(lock, from_seconds(seconds), [&] { return state_->done; }))
    return Error(Code::timeout, fmt::format("the call is not done after {:.6g} s; it goes on", seconds));
  return state_->outcome();
}

bool Work::test() const {
  const std::lock_guard lock(state_->mutex);
  return state_->done;
}

AsyncQueue::~AsyncQueue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

Result<std::shared_ptr<WorkState>> AsyncQueue::push(const Call& call) {
  auto item = std::make_unique<Item>(call);
  auto state = item->state;
  const std::lock_guard lock(mutex_);
  if (!thread_.joinable()) {
    auto thread = start_thread([this] { loop(); });
    if (!thread) return std::move(thread.error());
    thread_ = std::move(*thread);
  }
  unfinished_.fetch_add(1, std::memory_order_relaxed);
  items_.push_back(std::move(item));
  changed_.notify_all();
  return state;
}

void AsyncQueue::wait_until_idle() {
  if (!busy()) return;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !busy(); });
}

void AsyncQueue::loop() {
  for (;;) {
    std::unique_ptr<Item> item;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !items_.empty(); });
      if (items_.empty()) return;
      item = std::move(items_.front());
      items_.pop_front();
    }
    Status status = runner_.run(item->call.get());
    {
      const std::lock_guard lock(mutex_);
      unfinished_.fetch_sub(1, std::memory_order_release);
      changed_.notify_all();
    }
    item->state->finish(std::move(status));
  }
}

}  // namespace tutti
