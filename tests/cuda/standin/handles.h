// The objects behind the handles of one kind. Objects are never freed, so that a stale handle is always recognised and
// a stream's thread may use what its program has destroyed. Readers are not ordered among themselves.
#pragma once

#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_set>
#include <utility>
#include <vector>

namespace standin {

template <class T>
class Handles {
 public:
  T* add(std::unique_ptr<T> object) {
    std::unique_lock lock(mutex_);
    T* handle = object.get();
    kept_.push_back(std::move(object));
    live_.insert(handle);
    return handle;
  }
  T* find(const void* handle) const {
    std::shared_lock lock(mutex_);
    auto found = live_.find(static_cast<T*>(const_cast<void*>(handle)));
    return found == live_.end() ? nullptr : *found;
  }
  // False where the handle is unknown; so of two threads that destroy an object, one is told.
  bool remove(const void* handle) {
    std::unique_lock lock(mutex_);
    return live_.erase(static_cast<T*>(const_cast<void*>(handle))) == 1;
  }
  // All that ever were, destroyed ones too.
  std::vector<T*> all() const {
    std::shared_lock lock(mutex_);
    std::vector<T*> objects;
    for (const auto& object : kept_) objects.push_back(object.get());
    return objects;
  }

 private:
  mutable std::shared_mutex mutex_;
  std::vector<std::unique_ptr<T>> kept_;
  std::unordered_set<T*> live_;
};

}  // namespace standin
