#pragma once

#include <nccl.h>

#include "tutti/unique_id.h"

namespace tutti::nccl {

[[nodiscard]] UniqueId to_tutti(const ncclUniqueId& id) noexcept;
[[nodiscard]] ncclUniqueId to_nccl(const UniqueId& id) noexcept;

ncclResult_t get_unique_id(ncclUniqueId* id);

}  // namespace tutti::nccl
