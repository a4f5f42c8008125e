// Asynchronous calls of one communicator: one thread, started with the first of them, runs them in order.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "runtime/runner.h"

namespace tutti {

// The outcome, shared by the Work objects and the queue.
struct WorkState {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::optional<Error> error;

  void finish(Status status);
  Status outcome() const;  // with the mutex held
};

class AsyncQueue {
 public:
  explicit AsyncQueue(Runner& runner) : runner_(runner) {}
  ~AsyncQueue();  // runs what is still queued

  // The call must have been checked. Code::resource when there is no thread for the first one.
  Result<std::shared_ptr<WorkState>> push(const Call& call);
  // Whether the thread is using the runner.
  [[nodiscard]] bool busy() const noexcept { return unfinished_.load(std::memory_order_acquire) > 0; }
  void wait_until_idle();

 private:
  struct Item {
    explicit Item(const Call& c) : call(c) {}
    OwnedCall call;
    std::shared_ptr<WorkState> state = std::make_shared<WorkState>();
  };
  void loop();

  Runner& runner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Item>> items_;
  std::atomic<std::size_t> unfinished_{0};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tutti
