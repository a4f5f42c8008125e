#include "nccl/unique_id.h"

#include <bit>

#include "core/config.h"
#include "nccl/errors.h"

namespace tutti::nccl {

static_assert(sizeof(ncclUniqueId) == sizeof(UniqueId));
UniqueId to_tutti(const ncclUniqueId& id) noexcept { return std::bit_cast<UniqueId>(id); }
ncclUniqueId to_nccl(const UniqueId& id) noexcept { return std::bit_cast<ncclUniqueId>(id); }

ncclResult_t get_unique_id(ncclUniqueId* id) {
  if (id == nullptr) return invalid_argument("ncclGetUniqueId: uniqueId is NULL");
  // Ranks that rely on it share no id: they would wait for each other in vain.
  if (environment("NCCL_COMM_ID"))
    return invalid_usage(
        "ncclGetUniqueId: NCCL_COMM_ID is set, which tutti does not offer; unset it and hand rank 0's id to the "
        "other ranks");
  auto made = create_unique_id();
  if (!made) return report(made.error());
  *id = to_nccl(*made);
  return ncclSuccess;
}

}  // namespace tutti::nccl
