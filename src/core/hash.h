// 64-bit FNV-1a, for cache keys and agreement checks (not for security).
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

namespace tutti {

class Hasher {
 public:
  Hasher& bytes(const void* data, std::size_t size) noexcept {
    for (std::size_t i = 0; i < size; ++i) state_ = (state_ ^ static_cast<const unsigned char*>(data)[i]) * 0x100000001b3ULL;
    return *this;
  }
  template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T> Hasher& value(T v) noexcept { return bytes(&v, sizeof v); }
  Hasher& text(std::string_view s) noexcept { return value(s.size()).bytes(s.data(), s.size()); }
  [[nodiscard]] std::uint64_t result() const noexcept { return state_; }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325ULL;
};

}  // namespace tutti
