// Whether a group has failed, and who wants to know that, and that operations have completed: PyTorch's flight recorder,
// since 2.15.
#pragma once

#include <torch/version.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <torch/csrc/distributed/c10d/Backend.hpp>

namespace tutti_torch {

#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 215
// Thread safe.
class Observers {
 public:
  void add_abort(std::int64_t id, c10d::AbortHook hook) {
    const std::lock_guard lock(mutex_);
    abort_[id] = std::move(hook);
  }
  void remove_abort(std::int64_t id) {
    const std::lock_guard lock(mutex_);
    abort_.erase(id);
  }
  void add_completion(std::int64_t id, c10d::CompletionHook hook) {
    const std::lock_guard lock(mutex_);
    completion_[id] = std::move(hook);
  }
  void remove_completion(std::int64_t id) {
    const std::lock_guard lock(mutex_);
    completion_.erase(id);
  }
  void completed(std::uint64_t key) {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, hook] : completion_) hook({.completionKey = key, .duration_ms = std::nullopt});
  }
  // The group can do no more.
  void failed() {
    failed_ = true;
    const std::lock_guard lock(mutex_);
    for (const auto& [id, hook] : abort_) hook();
  }
  [[nodiscard]] bool has_failed() const noexcept { return failed_; }

 private:
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::map<std::int64_t, c10d::AbortHook> abort_;
  std::map<std::int64_t, c10d::CompletionHook> completion_;
};
#else
class Observers {
 public:
  void completed(std::uint64_t) {}
  void failed() { failed_ = true; }
  [[nodiscard]] bool has_failed() const noexcept { return failed_; }

 private:
  std::atomic<bool> failed_{false};
};
#endif

}  // namespace tutti_torch
