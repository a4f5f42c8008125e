// Numbers, texts and byte strings in messages: little-endian, and never read past the end.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tutti/types.h"

namespace tutti {

class Writer {
 public:
  template <class T>
  requires std::is_integral_v<T> || std::is_enum_v<T> Writer& value(T v) {
    const auto wide = static_cast<std::uint64_t>(v);
    for (std::size_t i = 0; i < sizeof v; ++i) out_.push_back(static_cast<std::byte>(wide >> (8 * i)));
    return *this;
  }
  Writer& raw(ConstBytes bytes) {
    const std::size_t at = out_.size();
    out_.resize(at + bytes.size());
    if (!bytes.empty()) std::memcpy(out_.data() + at, bytes.data(), bytes.size());
    return *this;
  }
  // Length, then the bytes.
  Writer& bytes(ConstBytes bytes) { return value(static_cast<std::uint32_t>(bytes.size())).raw(bytes); }
  Writer& text(std::string_view s) { return bytes(std::as_bytes(std::span(s))); }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(out_); }

 private:
  std::vector<std::byte> out_;
};

// Reads what Writer wrote. After the first read past the end everything reads as zero or empty and ok() is false.
class Reader {
 public:
  explicit Reader(ConstBytes in) : rest_(in) {}

  template <class T>
  requires std::is_integral_v<T> || std::is_enum_v<T> T value() {
    const ConstBytes raw = take(sizeof(T));
    std::uint64_t wide = 0;
    for (std::size_t i = 0; i < raw.size(); ++i) wide |= std::to_integer<std::uint64_t>(raw[i]) << (8 * i);
    return static_cast<T>(wide);
  }
  ConstBytes raw(std::size_t size) { return take(size); }
  ConstBytes bytes() { return take(value<std::uint32_t>()); }
  std::string text() {
    const ConstBytes raw = bytes();
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
  }
  [[nodiscard]] bool ok() const noexcept { return ok_; }
  // Everything was there, and nothing is left over.
  [[nodiscard]] bool finished() const noexcept { return ok_ && rest_.empty(); }

 private:
  ConstBytes take(std::size_t size) {
    if (!ok_ || size > rest_.size()) {
      ok_ = false;
      return {};
    }
    const ConstBytes head = rest_.first(size);
    rest_ = rest_.subspan(size);
    return head;
  }

  ConstBytes rest_;
  bool ok_ = true;
};

}  // namespace tutti
