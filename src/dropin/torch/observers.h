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
    for (const auto& [id, hook] : copy_of(completion_)) hook({.completionKey = key, .duration_ms = std::nullopt});
  }
  // The group can do no more.
  void failed() {
    failed_ = true;
    if (closed_) return;
    for (const auto& [id, hook] : copy_of(abort_)) hook();
  }
  // What fails from now on does so because the group ends.
  void close() noexcept { closed_ = true; }
  [[nodiscard]] bool has_failed() const noexcept { return failed_; }

 private:
  // Hooks may need Python, whose lock somebody may hold who removes one.
  template <class Hooks>
  Hooks copy_of(const Hooks& hooks) {
    const std::lock_guard lock(mutex_);
    return hooks;
  }

  std::atomic<bool> failed_{false}, closed_{false};
  std::mutex mutex_;
  std::map<std::int64_t, c10d::AbortHook> abort_;
  std::map<std::int64_t, c10d::CompletionHook> completion_;
};
#else
class Observers {
 public:
  void completed(std::uint64_t) {}
  void failed() { failed_ = true; }
  void close() noexcept {}
  [[nodiscard]] bool has_failed() const noexcept { return failed_; }

 private:
  std::atomic<bool> failed_{false};
};
#endif

}  // namespace tutti_torch
