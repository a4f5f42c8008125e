// What is received to be read but once need not leave the place where it has arrived.
#pragma once

#include <optional>

#include "exec/cpu/plan.h"

namespace tutti::gpu {

// The one later step that reads what the step `receive` puts into scratch, as a whole, where nothing else touches it.
[[nodiscard]] std::optional<std::size_t> only_reader(const Plan& plan, std::uint64_t element_bytes, std::size_t receive);

}  // namespace tutti::gpu
