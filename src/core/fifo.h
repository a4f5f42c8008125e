// A queue that allocates only when it grows beyond what it ever held.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace tutti {

template <class T>
class Fifo {
 public:
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  // From the oldest one.
  [[nodiscard]] T& operator[](std::size_t index) noexcept { return items_[(begin_ + index) & (items_.size() - 1)]; }
  [[nodiscard]] T& front() noexcept { return (*this)[0]; }
  void pop() noexcept {
    if constexpr (!std::is_trivially_destructible_v<T>) front() = T();  // what it holds is let go of
    ++begin_;
  }
  T& push(T item) {
    if (end_ - begin_ == items_.size()) grow();
    return items_[end_++ & (items_.size() - 1)] = std::move(item);
  }
  void clear() noexcept {
    while (!empty()) pop();
  }
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return items_.capacity() * sizeof(T); }

 private:
  void grow() {
    std::vector<T> larger(items_.empty() ? 8 : items_.size() * 2);
    const std::size_t count = end_ - begin_;
    for (std::size_t i = 0; i < count; ++i) larger[i] = std::move((*this)[i]);
    items_ = std::move(larger);
    begin_ = 0;
    end_ = count;
  }

  std::vector<T> items_;  // a power of two
  std::size_t begin_ = 0, end_ = 0;
};

}  // namespace tutti
