#include "nccl/device.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "nccl/comm.h"
#include "nccl/errors.h"

namespace tutti::nccl {

namespace {

// Nothing is wrong with any number as far as NCCL is concerned; pointers that are NULL it would follow.
ncclResult_t needed(std::string_view name, const void* handle, ncclDevResourceRequirements_t* needs,
                    const ncclDevResourceRequirements_t& what) {
  if (handle == nullptr || needs == nullptr)
    return invalid_argument("{}: {} is NULL", name, handle == nullptr ? "outHandle" : "outReq");
  *needs = what;
  return ncclSuccess;
}
size_t size(int n) { return static_cast<size_t>(n); }

}  // namespace

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
  if (window != nullptr && pointer != nullptr) *pointer = nullptr;
  if (window == nullptr) return invalid_argument("the window is NULL: there are no windows without a GPU");
  return invalid_argument("{} is no window", static_cast<void*>(window));
}

// The sizes are those that NCCL 2.30.7 answers with: 12 bytes and 4 more for each rank of a barrier among GPUs that reach each
// other's memory; ...
ncclResult_t lsa_barrier_requirement(ncclTeam_t team, int barriers, ncclLsaBarrierHandle_t* handle,
                                     ncclDevResourceRequirements_t* needs) {
  if (handle != nullptr) handle->nBarriers = barriers;
  return needed("ncclLsaBarrierCreateRequirement", handle, needs,
                {.bufferSize = size(barriers) * (12 + 4 * size(team.nRanks)),
                 .bufferAlign = 4,
                 .outBufferHandle = handle == nullptr ? nullptr : &handle->bufHandle});
}

// ... a signal for each rank where a network is between them;
ncclResult_t gin_barrier_requirement(ncclTeam_t team, int barriers, ncclGinBarrierHandle_t* handle,
                                     ncclDevResourceRequirements_t* needs) {
  return needed("ncclGinBarrierCreateRequirement", handle, needs,
                {.ginSignalCount = barriers * team.nRanks, .outGinSignalStart = handle == nullptr ? nullptr : &handle->signal0});
}

// ... for each block of an outbox its size, at least 128 bytes, and 65 lines of 128 bytes;
ncclResult_t gin_outbox_requirement(int blocks, int size_log2, ncclGinOutboxHandle_t* handle,
                                    ncclDevResourceRequirements_t* needs) {
  const int log2 = std::max(size_log2, 7);
  if (handle != nullptr) handle->size_log2 = static_cast<uint32_t>(log2);
  return needed("ncclGinOutboxCreateRequirement", handle, needs,
                {.bufferSize = size(blocks) * (65 * 128 + (size_t{1} << log2)),
                 .bufferAlign = 128,
                 .outBufferHandle = handle == nullptr ? nullptr : &handle->bufHandle});
}

// ... for each block of an inbox its size, in lines, and one line, 2048 signals and 4 more for each peer;
ncclResult_t gin_inbox_requirement(ncclTeam_t peers, int blocks, int size_log2, ncclGinInboxA2AHandle_t* handle,
                                   ncclDevResourceRequirements_t* needs) {
  const int others = peers.nRanks - 1;
  if (handle != nullptr) {
    handle->size_log2 = static_cast<uint32_t>(size_log2);
    handle->nPeers_rcp32 = others > 0 ? static_cast<uint32_t>((uint64_t{1} << 32) / static_cast<uint64_t>(others)) : 0;
  }
  return needed("ncclGinInboxA2ACreateRequirement", handle, needs,
                {.bufferSize = size(blocks) * (128 + (size_t{1} << std::max(size_log2, 7))),
                 .bufferAlign = 128,
                 .outBufferHandle = handle == nullptr ? nullptr : &handle->bufHandle,
                 .ginSignalCount = blocks * (2048 + 4 * others),
                 .outGinSignalStart = handle == nullptr ? nullptr : &handle->signals});
}

// ... for each block of an all-to-all of small messages 16 bytes, and two such for each slot.
ncclResult_t lla2a_requirement(int blocks, int slots, ncclLLA2AHandle_t* handle, ncclDevResourceRequirements_t* needs) {
  if (handle != nullptr) handle->nSlots = static_cast<uint32_t>(slots);
  return needed("ncclLLA2ACreateRequirement", handle, needs,
                {.bufferSize = size(blocks) * (1 + 2 * size(slots)) * 16,
                 .bufferAlign = 16,
                 .outBufferHandle = handle == nullptr ? nullptr : &handle->bufHandle});
}

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
