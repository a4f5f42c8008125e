// How an ncclComm_t leads to a communicator. A handle is a number that is never given twice, so one that was destroyed is known
// from all that are in use.
#pragma once

#include <nccl.h>

#include <atomic>
#include <memory>
#include <string_view>

namespace tutti::nccl {

class Comm;

// Where a handle leads. It neither moves nor goes when the communicator does, so that calls can look at it without a lock: at
// most 48 bytes for each communicator that a process ever makes.
struct Place {
  static constexpr unsigned kTaken = 1U << 31;

  std::shared_ptr<Comm> comm;      // until the handle is taken and the last call has left
  std::atomic<unsigned> calls{0};  // that are under way; with kTaken no others come in
};

// While a call uses a communicator, which stays for so long.
class InUse {
 public:
  // Leads to nobody where the handle does.
  explicit InUse(ncclComm_t handle);
  // Of one that the caller keeps, and whose handle may be of no use any more.
  explicit InUse(Comm& comm);
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;
  ~InUse() {
    if (place_ != nullptr && place_->calls.fetch_sub(1) == Place::kTaken + 1) [[unlikely]]
      drop(*place_);
  }

  [[nodiscard]] ncclComm_t handle() const noexcept { return handle_; }
  [[nodiscard]] Comm* comm() const noexcept { return comm_; }
  // Whether there was no other call when this one came.
  [[nodiscard]] bool alone() const noexcept { return alone_; }

 private:
  // false: its handle is of no use any more.
  bool enter(Place& place) noexcept;
  static void drop(Place& place);

  const ncclComm_t handle_ = nullptr;
  Place* place_ = nullptr;
  Comm* comm_ = nullptr;
  bool alone_ = false;
};

// Where a program wants its handle: other threads of it may look, while the communicator is made, for one to abort.
inline std::atomic_ref<ncclComm_t> shown(ncclComm_t* out) noexcept { return std::atomic_ref<ncclComm_t>(*out); }

ncclComm_t add_comm(std::shared_ptr<Comm> comm);
// nullptr, and told to ncclGetLastError, when there is none.
std::shared_ptr<Comm> find_comm(std::string_view call, ncclComm_t handle);
// The same; the handle is of no use from now on.
std::shared_ptr<Comm> take_comm(std::string_view call, ncclComm_t handle);
// The same, of one that may be gone already.
void forget_comm(ncclComm_t handle);
// Tells ncclGetLastError why a handle leads to nobody.
ncclResult_t nobody(std::string_view call, ncclComm_t handle);
// Whether it ended with the process.
[[nodiscard]] bool ended(ncclComm_t handle);

}  // namespace tutti::nccl
