// A queue that allocates only when it grows beyond what it ever held.
#pragma once

#include <cstddef>
#include <vector>

namespace tutti {

template <class T>
class Fifo {
 public:
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] T& front() noexcept { return items_[begin_ & (items_.size() - 1)]; }
  void pop() noexcept { ++begin_; }
  void push(const T& item) {
    if (end_ - begin_ == items_.size()) grow();
    items_[end_++ & (items_.size() - 1)] = item;
  }
  void clear() noexcept { begin_ = end_; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return items_.capacity() * sizeof(T); }

 private:
  void grow() {
    std::vector<T> larger(items_.empty() ? 8 : items_.size() * 2);
    const std::size_t count = end_ - begin_;
    for (std::size_t i = 0; i < count; ++i) larger[i] = items_[(begin_ + i) & (items_.size() - 1)];
    items_ = std::move(larger);
    begin_ = 0;
    end_ = count;
  }

  std::vector<T> items_;  // a power of two
  std::size_t begin_ = 0, end_ = 0;
};

}  // namespace tutti
