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
  const auto fixed = environment("NCCL_COMM_ID");
  auto made = fixed ? unique_id_at(*fixed) : create_unique_id();
  if (!made) return report(made.because(fixed ? "ncclGetUniqueId: NCCL_COMM_ID" : "ncclGetUniqueId"));
  *id = to_nccl(*made);
  return ncclSuccess;
}

}  // namespace tutti::nccl
