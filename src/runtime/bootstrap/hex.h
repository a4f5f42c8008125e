// Bytes as text, for places that carry text only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tutti/result.h"

namespace tutti {

[[nodiscard]] std::string to_hex(ConstBytes bytes);
// Code::invalid_argument for anything but pairs of hexadecimal digits.
[[nodiscard]] Result<std::vector<std::byte>> from_hex(std::string_view text);

}  // namespace tutti
