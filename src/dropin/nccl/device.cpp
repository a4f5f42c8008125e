#include "nccl/device.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "nccl/comm.h"
#include "nccl/errors.h"

namespace tutti::nccl {

static_assert(sizeof(ncclCommProperties) == 56 && offsetof(ncclCommProperties, ginType) == 36 &&
              offsetof(ncclCommProperties, railedGinType) == 48);

ncclResult_t comm_query_properties(ncclComm_t handle, ncclCommProperties_t* properties) {
  const auto comm = find_comm("ncclCommQueryProperties", handle);
  if (!comm) return ncclInvalidArgument;
  if (properties == nullptr) return invalid_argument("ncclCommQueryProperties: props is NULL");
  if (properties->magic != NCCL_API_MAGIC)
    return invalid_usage("ncclCommQueryProperties: magic is {:#x} (set it with NCCL_COMM_PROPERTIES_INITIALIZER)",
                         properties->magic);
  if (const auto result = comm->divisible("ncclCommQueryProperties"); result != ncclSuccess) return result;
  constexpr std::size_t kHeader = offsetof(ncclCommProperties, rank);
  ncclCommProperties answer{};
  answer.rank = comm->rank();
  answer.nRanks = comm->size();
  answer.cudaDev = answer.nvmlDev = comm->seat.device;
  answer.nLsaTeams = comm->size();
  // A program of a newer version finds nothing in what is not known here.
  auto* const bytes = reinterpret_cast<std::byte*>(properties);
  if (properties->size > sizeof answer)
    std::memset(bytes + sizeof answer, 0, std::min<std::size_t>(properties->size, 4096) - sizeof answer);
  if (properties->size > kHeader)
    std::memcpy(bytes + kHeader, reinterpret_cast<std::byte*>(&answer) + kHeader,
                std::min(properties->size, sizeof answer) - kHeader);
  return ncclSuccess;
}

ncclResult_t dev_comm_create(ncclComm_t comm, const ncclDevCommRequirements_t*, ncclDevComm_t*) {
  if (!find_comm("ncclDevCommCreate", comm)) return ncclInvalidArgument;
  return invalid_usage(
      "ncclDevCommCreate: there are no device communicators without a GPU (ncclCommQueryProperties: deviceApiSupport "
      "is false)");
}

ncclResult_t dev_comm_destroy(ncclComm_t comm, const ncclDevComm_t* made) {
  if (!find_comm("ncclDevCommDestroy", comm)) return ncclInvalidArgument;
  return made == nullptr ? ncclSuccess : invalid_argument("ncclDevCommDestroy: no device communicator was made");
}

ncclResult_t window_pointer(ncclWindow_t window, size_t, void** pointer) {
  if (pointer != nullptr) *pointer = nullptr;
  if (window == nullptr) return invalid_argument("the window is NULL: there are no windows without a GPU");
  return invalid_argument("{} is no window", static_cast<void*>(window));
}

ncclResult_t no_kernels() { return invalid_usage("what kernels need cannot be prepared: there is no GPU"); }

ncclTeam_t team_world(ncclComm_t handle) {
  const auto comm = find_comm("ncclTeamWorld", handle);
  return comm ? ncclTeam_t{comm->size(), comm->rank(), 1} : ncclTeam_t{};
}

ncclTeam_t team_alone(ncclComm_t handle) { return find_comm("ncclTeamLsa", handle) ? ncclTeam_t{1, 0, 1} : ncclTeam_t{}; }

int team_rank_to_world(ncclComm_t comm, ncclTeam_t team, int rank) {
  return team_world(comm).rank + (rank - team.rank) * team.stride;
}

int team_rank_to_lsa(ncclComm_t comm, ncclTeam_t team, int rank) {
  return team_alone(comm).rank + (rank - team.rank) * team.stride;
}

}  // namespace tutti::nccl
