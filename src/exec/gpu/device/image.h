// The kernels as a fat binary: what cuModuleLoadData takes.
#pragma once

#include <span>

namespace tutti::device {

// Empty where the library was built without nvcc.
[[nodiscard]] std::span<const unsigned char> image();

}  // namespace tutti::device
