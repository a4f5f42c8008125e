// Slurm's compressed host lists: "n[01-03,7],m2" is n01 n02 n03 n7 m2.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tutti/result.h"

namespace tutti {

inline constexpr std::size_t kMaxNodes = 1u << 17;

// Several brackets in one name multiply, the last one running fastest. Code::environment says what does not parse.
[[nodiscard]] Result<std::vector<std::string>> expand_node_list(std::string_view text);

}  // namespace tutti
