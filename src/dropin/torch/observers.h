// Whether a group has failed, and who wants to know that, and that operations have completed: PyTorch's flight recorder,
// since 2.15.
#pragma once

#include <c10/util/Exception.h>
#include <torch/version.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <torch/csrc/distributed/c10d/Backend.hpp>

namespace tutti_torch {

// By the numbers that PyTorch gives them. Thread safe.
template <class Hook>
class Hooks {
 public:
  void add(std::int64_t id, Hook hook) {
    const std::lock_guard lock(mutex_);
    hooks_[id] = std::move(hook);
  }
  void remove(std::int64_t id) {
    const std::lock_guard lock(mutex_);
    hooks_.erase(id);
  }
  // Outside the lock: hooks may need Python, whose lock somebody may hold who removes one.
  template <class... Arguments>
  void call(const Arguments&... arguments) {
    std::unique_lock lock(mutex_);
    const auto hooks = hooks_;
    lock.unlock();
    for (const auto& [id, hook] : hooks) hook(arguments...);
  }

 private:
  std::mutex mutex_;
  std::map<std::int64_t, Hook> hooks_;
};

// Callbacks of futures: they run on threads of PyTorch's and may need Python, which must not end before they have.
class Callbacks {
 public:
  // While it exists, some are under way, or will be.
  class Running {
   public:
    explicit Running(Callbacks& all) : all_(&all) {
      const std::lock_guard lock(all.mutex_);
      ++all.running_;
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() {
      const std::lock_guard lock(all_->mutex_);
      --all_->running_;
      all_->ended_.notify_all();
    }

   private:
    Callbacks* all_;
  };
  // While it exists, this thread is in one.
  class Here {
   public:
    Here() { ++tInside; }
    Here(const Here&) = delete;
    Here& operator=(const Here&) = delete;
    ~Here() { --tInside; }
  };
  // A callback that ends its group waits for none; nor does anybody longer than this for one that waits for something else.
  void wait(std::chrono::milliseconds at_most) {
    std::unique_lock lock(mutex_);
    if (ended_.wait_for(lock, at_most, [this] { return running_ == 0 || tInside > 0; })) return;
    TORCH_WARN("tutti: callbacks of ", running_, " futures are still under way; the process group ends without them");
  }

 private:
  inline static thread_local int tInside = 0;
  std::mutex mutex_;
  std::condition_variable ended_;
  int running_ = 0;
};

struct Observers {
  Callbacks callbacks;
#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 215
  Hooks<c10d::AbortHook> abort;
  Hooks<c10d::CompletionHook> completion;
  void completed(std::uint64_t key) { completion.call(c10d::CompletionHookArgs{.completionKey = key, .duration_ms = {}}); }
#else
  Hooks<std::function<void()> > abort;  // nobody adds any
  void completed(std::uint64_t) {}
#endif
  // The group can do no more.
  void fail() {
    failed = true;
    if (!closed) abort.call();
  }

  std::atomic<bool> failed{false};
  std::atomic<bool> closed{false};  // what fails from now on does so because the group ends
};

}  // namespace tutti_torch
