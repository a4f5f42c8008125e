// What algorithms may be called: TUTTI_ALGORITHM and its like must be able to say it.
#pragma once

#include <algorithm>
#include <string_view>

namespace tutti {

[[nodiscard]] inline bool is_algorithm_name(std::string_view name) noexcept {
  const auto may_stand = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+' ||
           c == '.';
  };
  return !name.empty() && std::ranges::all_of(name, may_stand);
}
inline constexpr std::string_view kNamesAreMadeOf = "names of algorithms are made of letters, digits, '_', '-', '+' and '.'";

}  // namespace tutti
