#include "nccl/handles.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "core/handshake.h"
#include "nccl/comm.h"
#include "nccl/errors.h"

namespace tutti::nccl {
namespace {

class Handles {
 public:
  ncclComm_t add(std::shared_ptr<Comm> comm) {
    const std::lock_guard lock(mutex_);
    const std::uintptr_t number = given_ + 1;
    if (number == 1) end_at_exit();
    if (std::has_single_bit(number)) rows_[digits(number)] = std::make_unique<Place[]>(number);
    Place& place = place_at(number);
    comm->give_place(place);
    place.comm = std::move(comm);
    given_ = number;
    return reinterpret_cast<ncclComm_t>(number * kStep);  // NOLINT(performance-no-int-to-ptr)
  }
  // nullptr when there was never such a handle.
  [[nodiscard]] Place* place_of(ncclComm_t handle) noexcept {
    const auto value = reinterpret_cast<std::uintptr_t>(handle);
    const std::uintptr_t number = value / kStep;
    return value % kStep == 0 && number != 0 && number <= given_ ? &place_at(number) : nullptr;
  }
  std::shared_ptr<Comm> find(ncclComm_t handle) {
    const std::lock_guard lock(mutex_);
    const Place* place = place_of(handle);
    return place == nullptr || place->calls >= Place::kTaken ? nullptr : place->comm;
  }
  std::shared_ptr<Comm> take(ncclComm_t handle) {
    const std::lock_guard lock(mutex_);
    Place* place = place_of(handle);
    return place == nullptr ? nullptr : take(*place);
  }
  // What the last call leaves behind after its handle was taken.
  void drop(Place& place) {
    std::shared_ptr<Comm> comm;  // ends without the lock
    const std::lock_guard lock(mutex_);
    comm.swap(place.comm);
  }
  // The process ends, and all handles with it.
  [[nodiscard]] bool ended(ncclComm_t handle) { return ended_ && place_of(handle) != nullptr; }
  static Handles& of_this_process() {
    static auto& handles = *new Handles;  // threads may look for a communicator until the very end
    return handles;
  }

 private:
  // Those of a row are the places of the numbers of so many binary digits: a row is twice as long as the one before.
  using Row = std::unique_ptr<Place[]>;
  static std::size_t digits(std::uintptr_t number) noexcept { return static_cast<std::size_t>(std::bit_width(number)); }
  Place& place_at(std::uintptr_t number) noexcept { return rows_[digits(number)][number - std::bit_floor(number)]; }

  std::shared_ptr<Comm> take(Place& place) {
    if (place.calls >= Place::kTaken) return nullptr;
    auto comm = place.comm;
    if (place.calls.fetch_add(Place::kTaken) == 0) place.comm.reset();
    return comm;
  }

  // Programs may end without ncclCommDestroy. The others shall not take such a rank for dead. What is registered last comes
  // first: OpenSSL, which ends its own affairs in the same way, has to be at work already, as threads may need it till then.
  static void end_at_exit() {
    (void)random_secret();
    std::atexit([] { of_this_process().clear(); });
  }

  void clear() {
    if (getpid() != owner_) return;  // a forked child has these objects but not the threads that make some of them
    std::vector<std::shared_ptr<Comm>> all;
    {
      const std::lock_guard lock(mutex_);
      for (std::uintptr_t number = 1; number <= given_; ++number)
        if (auto comm = take(place_at(number))) all.push_back(std::move(comm));
    }
    ended_ = true;
    for (const auto& comm : all) comm->give_up();
    for (const auto& comm : all) comm->wait_while_busy();
  }

  static constexpr std::uintptr_t kStep = 64;
  std::mutex mutex_;
  std::array<Row, 59> rows_;
  std::atomic<std::uintptr_t> given_{0};
  std::atomic<bool> ended_{false};
  const pid_t owner_ = getpid();
};

}  // namespace

InUse::InUse(ncclComm_t handle) : handle_(handle) {
  Place* place = Handles::of_this_process().place_of(handle);
  if (place != nullptr && enter(*place)) comm_ = place->comm.get();
}

InUse::InUse(Comm& comm) : comm_(&comm) { (void)enter(comm.place()); }

bool InUse::enter(Place& place) noexcept {
  const unsigned before = place.calls.fetch_add(1);
  place_ = &place;
  alone_ = (before & ~Place::kTaken) == 0;
  return before < Place::kTaken;
}

void InUse::drop(Place& place) { Handles::of_this_process().drop(place); }

ncclComm_t add_comm(std::shared_ptr<Comm> comm) { return Handles::of_this_process().add(std::move(comm)); }

std::shared_ptr<Comm> find_comm(std::string_view call, ncclComm_t handle) {
  auto comm = Handles::of_this_process().find(handle);
  if (!comm) nobody(call, handle);
  return comm;
}

std::shared_ptr<Comm> take_comm(std::string_view call, ncclComm_t handle) {
  auto comm = Handles::of_this_process().take(handle);
  if (!comm) nobody(call, handle);
  return comm;
}

void forget_comm(ncclComm_t handle) { (void)Handles::of_this_process().take(handle); }

ncclResult_t nobody(std::string_view call, ncclComm_t handle) {
  if (handle == nullptr) return invalid_argument("{}: the communicator is NULL", call);
  if (Handles::of_this_process().place_of(handle) != nullptr)
    return invalid_argument("{}: the communicator was destroyed or aborted before", call);
  return invalid_argument("{}: {} is no communicator", call, static_cast<void*>(handle));
}

bool ended(ncclComm_t handle) { return Handles::of_this_process().ended(handle); }

}  // namespace tutti::nccl
