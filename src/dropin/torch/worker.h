// A thread that does one thing after the other; started with the first of them.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace tutti_torch {

class Worker {
 public:
  using Task = std::function<void()>;

  Worker() = default;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() { stop(); }

  void push(Task task);
  // Whether nothing is left to do.
  [[nodiscard]] bool idle() const;
  void wait_until_idle();
  // Does what is left, and ends.
  void stop();

 private:
  void loop();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool busy_ = false, stopping_ = false;
  std::thread thread_;
};

}  // namespace tutti_torch
