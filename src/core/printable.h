// Text from outside (peers, files, devices, launchers) that a person is to read: on a terminal it must be nothing but text.
#pragma once

#include <algorithm>
#include <string>

namespace tutti {

[[nodiscard]] constexpr bool is_printable(char c) noexcept { return c >= ' ' && c <= '~'; }

// All else becomes '?'.
[[nodiscard]] inline std::string printable(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return !is_printable(c); }, '?');
  return text;
}

}  // namespace tutti
