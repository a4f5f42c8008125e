#include "nccl/init.h"

#include <algorithm>
#include <climits>
#include <optional>
#include <span>

#include "core/config.h"
#include "core/log.h"
#include "gpu/memory.h"
#include "nccl/errors.h"
#include "nccl/group.h"
#include "nccl/unique_id.h"

namespace tutti::nccl {
namespace {

// NCCL waits for ranks that are late as long as it takes.
Options options(std::stop_token stop, const Communicator* part_of = nullptr) {
  Options made{.part_of = part_of, .stop = std::move(stop)};
  if (!environment("TUTTI_TIMEOUT")) made.call_timeout_s = 1e9;
  return made;
}

// Where the program would run kernels now, or `device` where it says so itself.
Result<Seat> seat_of(std::optional<int> device) {
  const gpu::Driver* driver = gpu::driver();
  if (driver == nullptr) return Seat{.device = device.value_or(0)};
  Seat seat;
  if (device) {
    seat.device = *device;
    auto s = gpu::check(*driver, driver->retain_context(&seat.context, seat.device), fmt::format("using device {}", *device));
    return s ? Result<Seat>(seat) : std::move(s.error());
  }
  auto context = gpu::context_of_this_thread(*driver);
  if (!context) return std::move(context.error());
  seat.context = *context;
  const gpu::Entered entered(*driver, seat.context);
  auto s = gpu::check(*driver, driver->context_device(&seat.device), "cuCtxGetDevice");
  return s ? Result<Seat>(seat) : std::move(s.error());
}

ncclResult_t init(std::string_view name, ncclComm_t* out, int ranks, const ncclUniqueId& id, int rank, const ncclConfig_t* config,
                  std::optional<int> on_device = {}) {
  if (out == nullptr) return invalid_argument("{}: comm is NULL", name);
  shown(out) = nullptr;
  if (ranks < 1) return invalid_argument("{}: a communicator of {} ranks", name, ranks);
  if (rank < 0 || rank >= ranks) return invalid_argument("{}: rank {}, expected 0 to {}", name, rank, ranks - 1);
  auto settings = read_config(config);
  if (!settings) return report(settings.because(std::string(name)));
  const bool blocking = settings->blocking;
  auto seat = seat_of(on_device);
  if (!seat) return report(ncclUnhandledCudaError, seat.because(std::string(name)).to_string());
  auto comm = std::make_shared<Comm>(std::move(*settings), *seat);
  comm->expect(rank, ranks);
  auto work = [id = to_tutti(id), rank, ranks, stop = comm->stop()] {
    return Communicator::create(id, rank, ranks, options(stop));
  };
  return submit(Making{.name = std::string(name),
                       .blocking = blocking,
                       .parent = nullptr,
                       .comm = std::move(comm),
                       .work = std::move(work),
                       .out = out});
}

// A communicator of some of the parent's ranks, or of more.
ncclResult_t derive(std::string_view name, const std::shared_ptr<Comm>& parent, ncclComm_t* out, const ncclConfig_t* config,
                    std::function<Result<Communicator>()> work) {
  auto settings = read_config(config, parent->settings);
  if (!settings) return report(settings.because(std::string(name)));
  return submit(Making{.name = std::string(name),
                       .blocking = parent->settings.blocking,
                       .parent = parent,
                       .comm = std::make_shared<Comm>(std::move(*settings), parent->seat),
                       .work = std::move(work),
                       .out = out});
}

// Of a new id that `from` makes, all of the `ranks` get to know. The others need not take part.
Result<UniqueId> share_new_id(Communicator& parent, Rank from, std::span<const Rank> ranks) {
  UniqueId id;
  Group group;
  const auto add = [&](Call call) {
    call.collective = Collective::send_recv;
    return group.add(parent, call);
  };
  if (parent.rank() == from) {
    auto made = create_unique_id();
    if (!made) return made;
    id = *made;
    for (const Rank r : ranks)
      if (r != from)
        if (auto s = add({.input = id.bytes.data(), .count = UniqueId::kSize, .destination = r}); !s) return std::move(s.error());
  } else if (auto s = add({.output = id.bytes.data(), .source = from, .receive_count = UniqueId::kSize}); !s) {
    return std::move(s.error());
  }
  if (auto s = group.run(); !s) return std::move(s.error());
  return id;
}

// What carries the parent's ranks' messages about another communicator: of a revoked one a successor.
Result<Communicator*> carrier(Comm& parent) {
  if (!parent.revoked()) return &parent.communicator();
  if (!parent.successor) {
    auto id = parent.size() == 1 ? create_unique_id() : parent.meeting.place_of(0, parent.rank());
    if (!id) return std::move(id.error());
    auto made = Communicator::create(*id, parent.rank(), parent.size(), options(parent.stop(), &parent.communicator()));
    if (!made) return std::move(made.error());
    parent.successor.emplace(std::move(*made));
  }
  return &*parent.successor;
}

Result<Communicator> split(Comm& parent, int color, int key) {
  auto whole = carrier(parent);
  if (!whole) return std::move(whole.error());
  return (*whole)->split(color, key, parent.stop());
}

// `broken`: the parent may have lost ranks, which perhaps not all that are left have heard of yet.
Result<Communicator> shrink(Comm& parent, std::span<const Rank> left, bool broken) {
  const auto share = [&]() -> Result<UniqueId> {
    if (broken) return parent.meeting.place_of(left.front(), parent.rank());
    auto whole = carrier(parent);
    if (!whole) return std::move(whole.error());
    return share_new_id(**whole, left.front(), left);
  };
  auto id = share();
  if (!id) return std::move(id.error());
  const auto rank = static_cast<Rank>(std::ranges::find(left, parent.rank()) - left.begin());
  return Communicator::create(*id, rank, static_cast<Rank>(left.size()), options(parent.stop(), &parent.communicator()));
}

// Ranks of the parent do not know which of them was given the id.
Result<Communicator> grow(Comm& comm, Rank ranks, const UniqueId& mine) {
  Communicator& parent = comm.communicator();
  std::vector<UniqueId> ids(static_cast<std::size_t>(parent.size()));
  if (auto s = parent.run(
          {.collective = Collective::all_gather, .input = mine.bytes.data(), .output = ids.data(), .count = UniqueId::kSize});
      !s)
    return std::move(s.error());
  const auto id = std::ranges::find_if(ids, [](const UniqueId& i) { return i != UniqueId{}; });
  if (id == ids.end())
    return Error(Code::invalid_argument, "no rank of the communicator gave the id that ncclCommGetUniqueId made on it");
  comm.growth.reset();
  return Communicator::create(*id, parent.rank(), ranks, options(comm.stop()));
}

}  // namespace

ncclResult_t comm_init_rank(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank) {
  return init("ncclCommInitRank", comm, ranks, id, rank, nullptr);
}

ncclResult_t comm_init_rank_config(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
  return init("ncclCommInitRankConfig", comm, ranks, id, rank, config);
}

ncclResult_t comm_init_rank_scalable(ncclComm_t* comm, int ranks, int rank, int id_count, ncclUniqueId* ids,
                                     ncclConfig_t* config) {
  if (ids == nullptr) return invalid_argument("ncclCommInitRankScalable: commIds is NULL");
  if (id_count < 1 || id_count > ranks)
    return invalid_argument("ncclCommInitRankScalable: {} ids, expected 1 to {}, the number of ranks", id_count, ranks);
  std::vector<UniqueId> places;
  for (const ncclUniqueId& id : std::span(ids, static_cast<std::size_t>(id_count))) {
    places.push_back(to_tutti(id));
    if (auto s = places.back().check(); !s) return report(s.because("ncclCommInitRankScalable"));
  }
  // One meeting place serves any number of ranks: what it does for each is an exchange of some 100 bytes. The others would wait
  // for nothing; each is closed by a rank of its own.
  const auto mine = rank > 0 && rank < id_count ? places.begin() + rank : places.end();
  if (mine != places.end() && std::find(places.begin(), mine, *mine) == mine)
    if (auto s = discard(*mine); !s) log(LogLevel::info, s.error().to_string());
  return init("ncclCommInitRankScalable", comm, ranks, ids[0], rank, config);
}

ncclResult_t comm_init_all(ncclComm_t* comms, int device_count, const int* devices) {
  if (comms == nullptr) return invalid_argument("ncclCommInitAll: comm is NULL");
  if (device_count < 1) return invalid_argument("ncclCommInitAll: {} devices", device_count);
  int most = INT_MAX;
  if (const gpu::Driver* driver = gpu::driver()) (void)driver->device_count(&most);
  for (int i = 0; i < device_count; ++i)
    if (const int device = devices == nullptr ? i : devices[i]; device < 0 || device >= most)
      return invalid_argument("ncclCommInitAll: device {} does not exist", device);
  auto id = create_unique_id();
  if (!id) return report(id.error());
  (void)group_start();
  for (int i = 0; i < device_count; ++i) {
    note(init("ncclCommInitAll", comms + i, device_count, to_nccl(*id), i, nullptr, devices == nullptr ? i : devices[i]));
  }
  return group_end();
}

ncclResult_t comm_split(ncclComm_t handle, int color, int key, ncclComm_t* out, ncclConfig_t* config) {
  const auto parent = find_comm("ncclCommSplit", handle);
  if (!parent) return ncclInvalidArgument;
  if (out == nullptr) return invalid_argument("ncclCommSplit: newcomm is NULL");
  shown(out) = nullptr;
  if (color < 0 && color != NCCL_SPLIT_NOCOLOR)
    return invalid_argument("ncclCommSplit: color {}, expected 0 or more, or NCCL_SPLIT_NOCOLOR", color);
  if (const auto result = parent->divisible("ncclCommSplit"); result != ncclSuccess) return result;
  return derive("ncclCommSplit", parent, out, config, [=] { return split(*parent, color, key); });
}

ncclResult_t comm_shrink(ncclComm_t handle, int* excluded, int excluded_count, ncclComm_t* out, ncclConfig_t* config, int flags) {
  const auto parent = find_comm("ncclCommShrink", handle);
  if (!parent) return ncclInvalidArgument;
  if (out == nullptr) return invalid_argument("ncclCommShrink: newcomm is NULL");
  shown(out) = nullptr;
  if (flags != NCCL_SHRINK_DEFAULT && flags != NCCL_SHRINK_ABORT)
    return invalid_argument("ncclCommShrink: flags are {}, expected NCCL_SHRINK_DEFAULT or NCCL_SHRINK_ABORT", flags);
  const bool ends_calls = flags == NCCL_SHRINK_ABORT;
  const auto result = ends_calls ? parent->survivable("ncclCommShrink") : parent->divisible("ncclCommShrink");
  if (result != ncclSuccess) return result;
  if (excluded == nullptr || excluded_count < 1) return invalid_argument("ncclCommShrink: the list of excluded ranks is empty");
  std::vector<Rank> left;
  const std::span<const int> out_of_it(excluded, static_cast<std::size_t>(excluded_count));
  for (const int r : out_of_it) {
    if (r < 0 || r >= parent->size())
      return invalid_argument("ncclCommShrink: rank {} is to be excluded; there are ranks 0 to {}", r, parent->size() - 1);
    if (r == parent->rank()) return invalid_argument("ncclCommShrink: rank {} excludes itself; it must not take part", r);
  }
  for (Rank r = 0; r < parent->size(); ++r)
    if (std::ranges::find(out_of_it, r) == out_of_it.end()) left.push_back(r);
  if (ends_calls) parent->interrupt("NCCL_SHRINK_ABORT");
  const bool broken = ends_calls || (parent->revoked() && !parent->successor);
  return derive("ncclCommShrink", parent, out, config,
                [parent, left = std::move(left), broken] { return shrink(*parent, left, broken); });
}

ncclResult_t comm_get_unique_id(ncclComm_t handle, ncclUniqueId* id) {
  const auto comm = find_comm("ncclCommGetUniqueId", handle);
  if (!comm) return ncclInvalidArgument;
  if (id == nullptr) return invalid_argument("ncclCommGetUniqueId: uniqueId is NULL");
  if (const auto result = comm->usable("ncclCommGetUniqueId"); result != ncclSuccess) return result;
  if (comm->growth)
    return invalid_usage(
        "ncclCommGetUniqueId: the communicator has an id that ncclCommGrow has not used yet; there is one at a time");
  auto made = create_unique_id();
  if (!made) return report(made.error());
  comm->growth = *made;
  *id = to_nccl(*made);
  return ncclSuccess;
}

ncclResult_t comm_grow(ncclComm_t handle, int ranks, const ncclUniqueId* id, int rank, ncclComm_t* out, ncclConfig_t* config) {
  constexpr std::string_view kName = "ncclCommGrow";
  if (out == nullptr) return invalid_argument("{}: newcomm is NULL", kName);
  shown(out) = nullptr;
  if (handle == nullptr) {
    if (id == nullptr) return invalid_argument("{}: a new rank needs the id", kName);
    return init(kName, out, ranks, *id, rank, config);
  }
  const auto parent = find_comm(kName, handle);
  if (!parent) return ncclInvalidArgument;
  if (rank != -1)
    return invalid_argument("{}: rank {} was given, but ranks of the communicator keep theirs: expected -1", kName, rank);
  if (ranks <= parent->size())
    return invalid_argument("{}: to {} ranks, but the communicator has {}", kName, ranks, parent->size());
  if (id != nullptr && parent->growth != to_tutti(*id))
    return invalid_argument("{}: the id was not made by ncclCommGetUniqueId for this communicator, or was used", kName);
  if (const auto result = parent->usable(kName); result != ncclSuccess) return result;
  return derive(kName, parent, out, config,
                [parent, ranks, mine = id == nullptr ? UniqueId{} : to_tutti(*id)] { return grow(*parent, ranks, mine); });
}

}  // namespace tutti::nccl
