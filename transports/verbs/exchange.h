// Swapping structs of fixed size with the other end of a non-blocking socket.
#pragma once

#include <cstring>
#include <vector>

#include "tutti/result.h"
#include "tutti/types.h"

namespace tutti::verbs {

class Exchange {
 public:
  template <class T>
  explicit Exchange(const T& mine) : out_(sizeof mine), in_(sizeof mine) {
    std::memcpy(out_.data(), &mine, sizeof mine);
  }
  // Moves as far as the socket allows. true: both directions are through.
  Result<bool> advance(int fd, Rank peer);
  // The events to poll the socket for until then.
  [[nodiscard]] short wanted_events() const noexcept;
  template <class T>
  [[nodiscard]] T theirs() const noexcept {
    T value;
    std::memcpy(static_cast<void*>(&value), in_.data(), sizeof value);
    return value;
  }

 private:
  std::vector<std::byte> out_, in_;
  std::size_t sent_ = 0, received_ = 0;
};

}  // namespace tutti::verbs
