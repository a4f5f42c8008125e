// What is behind an ncclComm_t.
#pragma once

#include <nccl.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/driver.h"
#include "nccl/config.h"
#include "nccl/handles.h"
#include "nccl/meeting.h"
#include "nccl/ops.h"
#include "tutti/communicator.h"
#include "tutti/unique_id.h"

namespace tutti::nccl {

// Where the communicator's streams are; no context where there is no driver.
struct Seat {
  int device = 0;
  gpu::ContextHandle context = nullptr;
};

// A communicator is used by one thread at a time, but for state(), abort() and what never changes.
class Comm : public std::enable_shared_from_this<Comm> {
 public:
  Comm(Settings s, const Seat& at) : settings(std::move(s)), seat(at) {}

  const Settings settings;
  const Seat seat;
  Operators operators;
  std::optional<UniqueId> growth;  // handed out by ncclCommGetUniqueId and not used yet
  Meeting meeting;
  std::optional<Communicator> successor;  // of a revoked one, for others to be made of it

  // Before it is known to anybody but the thread that makes it; rank() and size() may be told earlier than the rest.
  void expect(Rank rank, Rank size) noexcept { rank_ = rank, size_ = size; }
  void made(Communicator communicator);
  [[nodiscard]] Rank rank() const noexcept { return rank_; }
  [[nodiscard]] Rank size() const noexcept { return size_; }

  // What ncclCommGetAsyncError tells. From any thread.
  [[nodiscard]] ncclResult_t state() const noexcept { return state_.load(); }
  // Hears of calls that have failed in a stream. From any thread.
  void look_for_failure();
  // While another one is made of it; gives the state that comes back afterwards.
  ncclResult_t set_busy() noexcept { return state_.exchange(ncclInProgress); }
  void set_idle(ncclResult_t state) noexcept;
  // It cannot be used any more.
  void set_failed(ncclResult_t result, std::string why);
  // Until it is not in progress.
  void wait_while_busy() const;

  // ncclSuccess, or why `call` cannot be made now, told to ncclGetLastError.
  ncclResult_t usable(std::string_view call) const { return state_ == ncclSuccess && marks_ == 0 ? ncclSuccess : unusable(call); }
  ncclResult_t usable(std::string_view call, const InUse& in_use) const {
    return in_use.alone() ? usable(call) : not_alone(call);
  }
  // The same of calls that make another communicator of this one: a revoked one can, too; and one that has failed, for those that
  // are left of it.
  ncclResult_t divisible(std::string_view call) const;
  ncclResult_t survivable(std::string_view call) const;
  // Errors other than Code::invalid_argument end it.
  ncclResult_t failed(const Error& error);
  [[nodiscard]] Communicator& communicator() noexcept { return *communicator_; }

  // It is not to be used any more. Ranks that wait for this one learn that it has left. What is under way to make it, or others
  // of it, is given up.
  void abort();
  void give_up() noexcept { stop_.request_stop(); }
  // Asked to stop by these two.
  [[nodiscard]] std::stop_token stop() const noexcept { return stop_.get_token(); }
  [[nodiscard]] bool aborted() const noexcept { return marked(kAborted); }
  void revoke();
  [[nodiscard]] std::uint64_t device_bytes() const { return made_ ? communicator_->memory().device_bytes : 0; }
  [[nodiscard]] bool in_calls() const noexcept { return (place_->calls & ~Place::kTaken) != 0; }
  // Whether a stream has yet to pass calls of it.
  [[nodiscard]] bool in_streams() const noexcept { return made_ && communicator_->busy(); }
  // Ends the calls that are under way.
  void interrupt(const char* by);
  void finalize() noexcept { marks_ |= kFinalized; }
  [[nodiscard]] bool finalized() const noexcept { return marked(kFinalized); }
  [[nodiscard]] bool revoked() const noexcept { return marked(kRevoked); }
  [[nodiscard]] bool suspended() const noexcept { return marked(kSuspended); }
  void suspend() noexcept { marks_ |= kSuspended; }
  void resume() noexcept { marks_ &= ~kSuspended; }
  // Of its handle, if it has one.
  void give_place(Place& place) noexcept { place_ = &place; }
  [[nodiscard]] Place& place() noexcept { return *place_; }

 private:
  // Each of them keeps it from being used.
  enum Mark : unsigned { kAborted = 1, kFinalized = 2, kRevoked = 4, kSuspended = 8 };
  [[nodiscard]] bool marked(Mark mark) const noexcept { return (marks_ & mark) != 0; }
  ncclResult_t unusable(std::string_view call) const;
  static ncclResult_t not_alone(std::string_view call);

  Rank rank_ = kNoRank, size_ = 0;
  std::optional<Communicator> communicator_;
  std::atomic<bool> made_{false};
  std::stop_source stop_;
  std::atomic<ncclResult_t> state_{ncclInProgress};
  std::atomic<unsigned> marks_{0};
  Place* place_ = nullptr;
  mutable std::mutex mutex_;
  std::string failure_;
};

ncclResult_t comm_finalize(ncclComm_t comm);
ncclResult_t comm_destroy(ncclComm_t comm);
ncclResult_t comm_abort(ncclComm_t comm);
ncclResult_t comm_revoke(ncclComm_t comm, int flags);
ncclResult_t comm_get_async_error(ncclComm_t comm, ncclResult_t* error);
ncclResult_t comm_count(ncclComm_t comm, int* count);
ncclResult_t comm_cu_device(ncclComm_t comm, int* device);
ncclResult_t comm_user_rank(ncclComm_t comm, int* rank);
ncclResult_t comm_suspend(ncclComm_t comm, int flags);
ncclResult_t comm_resume(ncclComm_t comm);
ncclResult_t comm_mem_stats(ncclComm_t comm, ncclCommMemStat_t stat, uint64_t* value);

}  // namespace tutti::nccl
